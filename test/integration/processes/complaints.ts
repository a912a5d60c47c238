/** What Node has complained of in this process so far: warnings and unhandled rejections. */
export const complaints: string[] = [];

process.on("warning", ({ name, message }) => {
  complaints.push(`${name}: ${message}`);
});
process.on("unhandledRejection", (reason) => {
  complaints.push(`unhandled rejection: ${String(reason)}`);
});
