/** What a caught value says, whatever it is; fetch hides the telling part in `cause`. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.message === "fetch failed" && error.cause !== undefined) return messageOf(error.cause);
  const message = error.message.trim();
  if (message !== "") return message;
  // Node's error for several failed connection attempts has a code and no message.
  return "code" in error ? String(error.code) : error.name;
}
