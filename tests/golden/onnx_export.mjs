// onnx_export.mjs PACKAGE JOBS.json: runs models with ONNX Runtime. A job is {model, inputs: [{file, shape, type}]}; for each input
// FILE.in is read, FILE.out gets the raw output and FILE.json its shape, or what went wrong.
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const [, , folder, list] = process.argv;
const ort = createRequire(import.meta.url)(folder);
const arrays = { float32: Float32Array, uint8: Uint8Array };

for (const { model, inputs } of JSON.parse(readFileSync(list))) {
  let session, problem;
  try {
    session = await ort.InferenceSession.create(model, { logSeverityLevel: 4, intraOpNumThreads: 1 });
  } catch (error) {
    problem = error.message;
  }
  for (const { file, shape, type } of inputs) {
    try {
      if (problem) throw new Error(problem);
      const bytes = readFileSync(`${file}.in`);
      const data = new arrays[type](bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
      const { output } = await session.run({ input: new ort.Tensor(type, data, shape) });
      writeFileSync(`${file}.out`, new Uint8Array(output.data.buffer, output.data.byteOffset, output.data.byteLength));
      writeFileSync(`${file}.json`, JSON.stringify({ shape: output.dims }));
    } catch (error) {
      writeFileSync(`${file}.json`, JSON.stringify({ error: error.message }));
    }
  }
}
