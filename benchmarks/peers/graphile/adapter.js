/*
 * graphile-worker: a row in PostgreSQL that is deleted when the job is completed.
 *
 * The settings of its own performance page: a local queue, completions in batches without a delay. Speaks as the
 * Python adapters do: `node adapter.js fill` or `work`, DATABASE_URL and TASKS in the environment, JSON in the last
 * line on stdout.
 *
 * Tried, in tasks a second: 100 jobs at once with a local queue of 500 22,400; 24, as on its page, with 500 21,100;
 * 24 with 2,000 21,200; 100 with 1,000 on 10 connections 19,000.
 */
import { Logger, makeWorkerUtils, run } from "graphile-worker";

const TASKS = Number(process.env.TASKS);
const connectionString = process.env.DATABASE_URL;
const FIRST = 1_000_000;
const CHUNK = 5_000;
const tuned = (name, best) => Number(process.env[`TRY_${name}`] ?? best);
const JOBS = tuned("JOBS", 100);
const LOCAL_QUEUE = tuned("LOCAL_QUEUE", 500);
const POOL = tuned("POOL", 25);

const payload = (number) => ({
  number: FIRST + number,
  items: [
    { sku: "A-100", n: 3 },
    { sku: "B-200", n: 1 },
  ],
  note: "x".repeat(118),
});

async function fill() {
  const utils = await makeWorkerUtils({ connectionString });
  await utils.migrate();
  for (let start = 0; start < TASKS; start += CHUNK) {
    const jobs = [];
    for (let number = start; number < Math.min(start + CHUNK, TASKS); number++) {
      jobs.push({ identifier: "nothing", payload: payload(number) });
    }
    await utils.addJobs(jobs);
  }
  await utils.release();
  return { submitted: TASKS };
}

async function work() {
  const times = new Uint16Array(TASKS);
  const nothing = async (carried) => {
    times[carried.number - FIRST] += 1;
  };
  const stopped = new Promise((resolve) => process.once("SIGTERM", resolve));
  const runner = await run({
    taskList: { nothing },
    noHandleSignals: true,
    logger: new Logger(() => () => {}),
    preset: {
      worker: {
        connectionString,
        concurrentJobs: JOBS,
        maxPoolSize: POOL,
        localQueue: { size: LOCAL_QUEUE },
        completeJobBatchDelay: 0,
        failJobBatchDelay: 0,
      },
    },
  });
  await stopped;
  await runner.stop();
  const ran = times.reduce((sum, n) => sum + n, 0);
  const lost = times.reduce((sum, n) => sum + (n === 0 ? 1 : 0), 0);
  return { ran, lost, repeated: ran - (TASKS - lost) };
}

const found = await { fill, work }[process.argv[2]]();
process.stdout.write(`${JSON.stringify(found)}\n`);
