// The network and what surrounds it, beside the page's own thread. A message {id, task, ...} gets {id, ...} or {id, error}.
import {alphaAt, inputSize, labelsAt, normalised, resizedPixels, withoutOthers, withoutUnsurePeople} from "./arithmetic.js"
import model from "./generated/model.bin?url"
import wasm from "./generated/wasm.bin?url"
import webgpu from "./generated/webgpu.bin?url"
import {grouped} from "./people.js"
import wasmGlue from "onnxruntime-web/ort-wasm-simd-threaded.mjs?url"
import webgpuGlue from "onnxruntime-web/ort-wasm-simd-threaded.asyncify.mjs?url"

async function unpacked(address) {
  const answer = await fetch(address)
  if (!answer.ok) throw new Error(`${address}: expected a file, got status ${answer.status}; load the page again`)
  return new Uint8Array(await new Response(answer.body.pipeThrough(new DecompressionStream("gzip"))).arrayBuffer())
}

async function load({gpu}) {
  if (gpu && await navigator.gpu?.requestAdapter()) {
    const ort = await import("onnxruntime-web/webgpu")
    return {...await started(ort, webgpu, webgpuGlue, "webgpu"), name: "WebGPU"}
  }
  const ort = await import("onnxruntime-web/wasm")
  const threads = self.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency, 8) : 1
  ort.env.wasm.numThreads = threads
  return {...await started(ort, wasm, wasmGlue, "wasm"), name: threads > 1 ? `WASM, ${threads} threads` : "WASM, one thread"}
}

async function started(ort, engine, glue, provider) {
  const [binary, weights] = await Promise.all([unpacked(engine), unpacked(model)])
  Object.assign(ort.env.wasm, {wasmBinary: binary.buffer, wasmPaths: {mjs: new URL(glue, location.href).href}})
  return {ort, session: await ort.InferenceSession.create(weights, {executionProviders: [provider], logSeverityLevel: 3})}
}

let engine = null

/** The photo's pixels in strips: browsers limit a canvas, and a strip needs less memory. Transparent becomes white. */
function rowsOf(photo) {
  const canvas = new OffscreenCanvas(1, 1)
  return (top, bottom) => {
    Object.assign(canvas, {width: photo.width, height: bottom - top})
    const context = canvas.getContext("2d", {willReadFrequently: true})
    context.fillStyle = "white"
    context.fillRect(0, 0, canvas.width, canvas.height)
    context.drawImage(photo, 0, -top)
    return context.getImageData(0, 0, canvas.width, canvas.height).data
  }
}

const TASKS = {
  async load(options) {
    engine = load(options)
    return {engine: (await engine).name}
  },

  /** Label map and scores of a photo (an ImageBitmap), seen `scale` times as large as usual, and its people if they are
   * to be told `apart`. */
  async parse({photo, scale, apart}) {
    const {ort, session} = await engine, {height, width} = photo, [h, w] = inputSize(height, width, scale)
    const pixels = normalised(resizedPixels(rowsOf(photo), height, width, h, w))
    photo.close()
    const outputs = apart ? ["scores", "people"] : ["scores"]
    const {scores, people} = await session.run({images: new ort.Tensor("float32", pixels, [1, 3, h, w])}, outputs)
    const kept = withoutUnsurePeople({data: scores.data.slice(), dims: [...scores.dims]})
    const labels = labelsAt(kept, height, width)
    return {height, width, labels, scores: kept, owners: apart ? grouped(people, labels, width) : null}
  },

  /** Opacity of a cutout, of one person if `number` is given. */
  async alpha({scores, ids, height, width, owners, number}) {
    if (!number) return {alpha: alphaAt(scores, ids, height, width)}
    const alpha = alphaAt(withoutOthers(scores, owners, number, height, width), ids, height, width)
    return {alpha: alpha.map((value, i) => owners[i] && owners[i] !== number ? 0 : value)}
  },
}

async function answer({id, task, ...values}) {
  try {
    self.postMessage({id, ...await TASKS[task](values)})
  } catch (error) {
    self.postMessage({id, error: error.message || `the engine stops with ${error}`}) // it may throw a number
  }
}

let last = Promise.resolve() // one task after another: an engine takes no photo while it has one
self.onmessage = ({data}) => { last = last.then(() => answer(data)) }
