// peers_ort.mjs PACKAGE THREADS SECONDS SIDE MODEL.onnx: median time in ms of ONNX Runtime for one input, batch 1, and the peak memory of
// the process in MiB.
import { createRequire } from 'node:module';

const [, , folder, threads, seconds, side, model] = process.argv;
const ort = createRequire(import.meta.url)(folder);
const session = await ort.InferenceSession.create(model, {
  logSeverityLevel: 4, intraOpNumThreads: Number(threads), interOpNumThreads: 1, graphOptimizationLevel: 'all',
});
const channels = Number(model.match(/-(\d+)x\d+\.onnx$/)?.[1] ?? 3);
const data = new Float32Array(channels * side * side).map(() => Math.random() * 2 - 1);
const input = { [session.inputNames[0]]: new ort.Tensor('float32', data, [1, channels, Number(side), Number(side)]) };
const times = [];
const run = async () => {
  const start = process.hrtime.bigint();
  await session.run(input);
  return Number(process.hrtime.bigint() - start) / 1e6;
};
for (let spent = 0; spent < 200 * Number(seconds);) spent += await run();
for (let spent = 0; spent < 1000 * Number(seconds) || times.length < 3;) spent += times[times.push(await run()) - 1];
times.sort((a, b) => a - b);
console.log(times[times.length >> 1].toFixed(4), (process.resourceUsage().maxRSS / 1024).toFixed(1));
