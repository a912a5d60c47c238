// Prints how many milliseconds of the processor it takes to import what is named.
const start = process.cpuUsage();
for (const name of process.argv.slice(2)) await import(name);
const { user, system } = process.cpuUsage(start);
console.log((user + system) / 1000);
