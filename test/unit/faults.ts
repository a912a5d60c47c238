import type { Carrier, HttpRequest, Receiver } from "../../src/testing/fake-consul/carrier.js";

/** What becomes of a request in place of a plain answer. Returns what cancels it. */
export type Fault = (request: HttpRequest, receiver: Receiver, consul: Carrier) => () => void;

const nothing = (): void => undefined;

/** An answer of this status and text. */
export function answering(status: number, body = "", headers: Record<string, string> = {}): Fault {
  return (_, receiver) => {
    receiver.response({ status, headers, body });
    return nothing;
  };
}

export const leaderless = answering(500, "No cluster leader");
export const forbidden = answering(403, "Permission denied");

/** What a proxy shows while Consul is away. */
export const page = (status = 200): Fault =>
  answering(status, "<html><h1>Back soon</h1></html>", { "content-type": "text/html" });

/** No answer ever; the request is not carried out either. */
export const silent: Fault = () => nothing;

/** The connection breaks before the request has left. */
export const unsent: Fault = (_, receiver) => {
  receiver.error(reset());
  return nothing;
};

/** Nobody listens at the address. */
export const refusing: Fault = (_, receiver) => {
  receiver.error(
    Object.assign(new Error("connect ECONNREFUSED 127.0.0.1:8500"), { code: "ECONNREFUSED" }),
  );
  return nothing;
};

/** Consul carries the request out; the connection breaks before the answer. */
export const answerLost: Fault = (request, receiver, consul) =>
  consul(request, {
    response: () => {
      receiver.error(reset());
    },
    error: (error) => {
      receiver.error(error);
    },
  });

/** Consul carries the request out; no answer ever comes. */
export const answerSwallowed: Fault = (request, _, consul) => {
  consul(request, { response: nothing, error: nothing });
  return nothing;
};

/** The answer takes so many milliseconds to come. */
export const answerLate =
  (ms: number): Fault =>
  (request, receiver, consul) => {
    let timer: NodeJS.Timeout | undefined;
    const deliver = (call: () => void): void => {
      timer = setTimeout(call, ms);
    };
    const cancel = consul(request, {
      response: (response) => {
        deliver(() => {
          receiver.response(response);
        });
      },
      error: (error) => {
        receiver.error(error);
      },
    });
    return () => {
      clearTimeout(timer);
      cancel();
    };
  };

/** The request takes so many milliseconds to arrive, and does so also when it was given up. */
export const requestLate =
  (ms: number): Fault =>
  (request, receiver, consul) => {
    setTimeout(() => consul(request, receiver), ms);
    return nothing;
  };

/** The way there and back takes time, and so it may go wrong in another manner. */
export const delayed =
  (there: number, back: number, fault?: Fault): Fault =>
  (request, receiver, consul) => {
    let isCancelled = false;
    let cancel = nothing;
    const deliver = (call: () => void): void => {
      setTimeout(() => {
        if (!isCancelled) call();
      }, back);
    };
    const late: Receiver = {
      response: (response) => {
        deliver(() => {
          receiver.response(response);
        });
      },
      error: (error) => {
        deliver(() => {
          receiver.error(error);
        });
      },
    };
    const timer = setTimeout(() => {
      cancel = fault === undefined ? consul(request, late) : fault(request, late, consul);
    }, there);
    return () => {
      isCancelled = true;
      clearTimeout(timer);
      cancel();
    };
  };

/** Somebody else's request arrives just before. */
export const afterRequest =
  (method: string, path: string, body = ""): Fault =>
  (request, receiver, consul) => {
    consul({ method, path, body }, { response: nothing, error: nothing });
    return consul(request, receiver);
  };

function reset(): Error {
  return Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" });
}
