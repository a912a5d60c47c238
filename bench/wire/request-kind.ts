const uuid = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g;

/**
 * What a request is about, without what differs from one to the next: its method and path, with
 * `…` for the prefix and `ID` for sessions, and the names of the parameters that change its meaning.
 */
export function requestKind(method: string, target: string): string {
  const [path = "", query = ""] = decodeURIComponent(target).split("?");
  const shown = path.replace(/bench\/[^/]*/, "…").replaceAll(uuid, "ID");
  const telling = ["acquire", "release", "cas", "recurse", "index"].filter((name) =>
    new URLSearchParams(query).has(name),
  );
  return `${method} ${shown}${telling.length === 0 ? "" : `?${telling.join("&")}`}`;
}
