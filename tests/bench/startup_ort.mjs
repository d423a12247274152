// startup_ort.mjs PACKAGE MODEL.onnx: one 32x32 picture's tensor through a classifier, for startup.sh.
import { createRequire } from 'node:module';

const ort = createRequire(import.meta.url)(process.argv[2]);
const session = await ort.InferenceSession.create(process.argv[3], { logSeverityLevel: 4 });
const input = { [session.inputNames[0]]: new ort.Tensor('float32', new Float32Array(3 * 32 * 32).fill(0.5), [1, 3, 32, 32]) };
const logits = (await session.run(input))[session.outputNames[0]].data;
console.log(logits.indexOf(Math.max(...logits)));
