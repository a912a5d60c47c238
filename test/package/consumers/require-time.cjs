// Prints how many milliseconds of the processor it takes to require what is named.
const start = process.cpuUsage();
for (const name of process.argv.slice(2)) require(name);
const { user, system } = process.cpuUsage(start);
console.log((user + system) / 1000);
