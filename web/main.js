import "../src/ssnan/serving/web/page.css"
import "./web.css"
import {$, begin, canvasFor, chosen, complain, connect, made, paint, seen, selected, show, shown, showNext, take} from "../src/ssnan/serving/web/view.js"
import card from "./generated/card.js"
import {palettePng} from "./png.js"

const LIVE = 0.5 // scale of the camera's frames at the network, against that of photos
const PATIENCE = 4000 // milliseconds for the service worker, which some browsers never start
const MOST = 20 // photos at once
const ADVICE = { // by what a browser calls the reason why it gives no camera
  NotAllowedError: "; allow this page to use one",
  NotFoundError: "; connect one",
  NotReadableError: "; close the program that uses it",
}
const {classes, palette} = card.labelSet

// ---- The network, in a worker

let worker = null
let asked = 0
const waiting = new Map()

function ask(task, values = {}, transfer = []) {
  return new Promise((resolve, reject) => {
    waiting.set(++asked, {resolve, reject})
    worker.postMessage({id: asked, task, ...values}, transfer)
  })
}

async function start() {
  if (await isolating()) return new Promise(() => {}) // the page loads again
  worker = new Worker(new URL("./worker.js", import.meta.url), {type: "module"})
  worker.onmessage = ({data: {id, error, ...values}}) => {
    const question = waiting.get(id)
    waiting.delete(id)
    if (error) question?.reject(new Error(error))
    else question?.resolve(values)
  }
  worker.onerror = ({message}) => { // its program, not one of its tasks
    for (const {reject} of waiting.values()) reject(new Error(message ?? "its program does not load"))
    waiting.clear()
  }
  const gpu = new URLSearchParams(location.search).get("engine") === "webgpu"
  const {engine} = await ask("load", {gpu})
  $("engine").textContent = `Engine: ${engine}`
}

/** Registers the service worker. True where its headers take effect only with the next load, which it starts. */
async function isolating() {
  if (!navigator.serviceWorker) return false
  try {
    const registered = navigator.serviceWorker.register("sw.js").then(() => navigator.serviceWorker.ready)
    await Promise.race([registered, new Promise((resolve) => setTimeout(resolve, PATIENCE))])
  } catch {
    return false // as in some private windows: one thread, and not offline
  }
  if (navigator.serviceWorker.controller && crossOriginIsolated) return false
  if (sessionStorage.getItem("again")) return false
  sessionStorage.setItem("again", "once")
  location.reload()
  return true
}

const ready = start().catch(({message}) => {
  $("engine").textContent = "Engine: none"
  throw new Error(`The engine does not start: ${message}; try a newer browser`)
})
ready.catch(({message}) => complain(message))

// ---- From a photo to what is shown

async function parsed(photo, name, {scale = 1, apart = true} = {}) {
  const {width, height} = photo, canvas = canvasFor(width, height), context = canvas.getContext("2d")
  context.imageSmoothingQuality = "high"
  context.drawImage(photo, 0, 0, canvas.width, canvas.height)
  await ready
  const {labels, owners, scores} = await ask("parse", {photo, scale, apart}, [photo])
  const counts = Array.from({length: 1 + (owners ?? []).reduce((a, b) => Math.max(a, b), 0)}, () => new Uint32Array(classes.length))
  for (let i = 0; i < labels.length; i++) {
    counts[0][labels[i]]++
    if (owners?.[i]) counts[owners[i]][labels[i]]++
  }
  const [parts, ...others] = counts.map((areas) => listed(areas, width * height))
  const small = (map) => map && smaller(map, {width, height}, canvas)
  return {name, width, height, scores, full: {labels, owners}, canvas, ids: small(labels), owners: small(owners), parts,
    people: others.map((parts) => ({parts}))}
}

/** The parts in a photo, largest first, from the pixels of every class. */
const listed = (areas, all) => [...areas.keys()].filter((id) => id && areas[id]).sort((a, b) => areas[b] - areas[a]).map((id) => (
  {id, name: classes[id], color: card.distinctPalette[id], area: areas[id], share: areas[id] / all}))

/** A map of a photo (labels or people) at the size of a canvas. */
function smaller(labels, {width, height}, canvas) {
  const ids = new Uint8Array(canvas.width * canvas.height)
  const columns = Array.from({length: canvas.width}, (_, x) => Math.floor((x + 0.5) * width / canvas.width))
  for (let y = 0, at = 0; y < canvas.height; y++) {
    const row = Math.floor((y + 0.5) * height / canvas.height) * width
    for (const column of columns) ids[at++] = labels[row + column]
  }
  return ids
}

const opened = (file) => createImageBitmap(file).catch(() => {
  throw new Error("expected a photo that this browser can open, such as JPEG, PNG or WebP")
})

async function taken(files) {
  stop()
  const done = take(files.slice(0, MOST), async (file) => ({...await parsed(await opened(file), file.name), file}))
  if (files.length > MOST) complain(`${files.length} photos are too many for this page: it parses the first ${MOST}; use ssnan parse for the rest`)
  return done
}

// ---- What is saved: the chosen parts, or all, of one person or of everybody

/** The label map of what is saved. */
function kept({labels, owners}) {
  const ids = new Set(selected().map(({id}) => id)), {number} = seen
  return chosen.size || number ? labels.map((id, i) => ids.has(id) && (!number || owners[i] === number) ? id : 0) : labels
}

const SAVED = {
  async map({full, width, height}) {
    return palettePng(kept(full), width, height, palette)
  },

  async overlay(photo) {
    const ids = kept(photo.full), parts = selected() // now: somebody may choose others before the photo is decoded
    const canvas = await atFullSize(photo)
    paint(canvas.getContext("2d"), ids, parts)
    return png(canvas)
  },

  async cutout(photo) {
    const {scores, width, height, full: {owners}} = photo, {number} = seen
    const ids = chosen.size ? [...chosen].map((name) => classes.indexOf(name)) : [...classes.keys()].slice(1)
    const [{alpha}, canvas] = await Promise.all([ask("alpha", {scores, ids, width, height, owners, number}), atFullSize(photo)])
    const context = canvas.getContext("2d"), pixels = context.getImageData(0, 0, width, height)
    for (let i = 0; i < alpha.length; i++) pixels.data[4 * i + 3] = Math.round(pixels.data[4 * i + 3] * alpha[i] / 255)
    context.putImageData(pixels, 0, 0)
    return png(canvas)
  },
}

/** The photo at its own size. */
async function atFullSize({file, canvas, width, height}) {
  const result = made("canvas", {width, height})
  result.getContext("2d").drawImage(file ? await opened(file) : canvas, 0, 0, width, height)
  return result
}

const png = (canvas) => new Promise((resolve, reject) => {
  canvas.toBlob((blob) => blob ? resolve(blob) : reject(new Error("the photo is too large for this browser to save")))
})

const content = async (value) => ({blob: await SAVED[value](shown), ending: value === "map" ? ".png" : `.${value}.png`})

// ---- The camera

let stream = null

function stop() {
  for (const track of stream?.getTracks() ?? []) track.stop()
  stream = null
  $("camera").setAttribute("aria-pressed", false)
  $("camera").textContent = "Live camera"
}

async function live() {
  const signal = begin(), video = made("video", {muted: true, playsInline: true})
  let camera = null
  try {
    if (!navigator.mediaDevices) throw new Error("a browser gives one to an https address alone")
    camera = await navigator.mediaDevices.getUserMedia({video: {facingMode: "user", width: {ideal: 640}}})
    if (signal.aborted) return camera.getTracks().forEach((track) => track.stop())
    video.srcObject = stream = camera
    $("camera").setAttribute("aria-pressed", true)
    await video.play()
    for (let last = performance.now(), rate = 0; ;) {
      const frame = await parsed(await createImageBitmap(video), "camera", {scale: LIVE, apart: false})
      if (signal.aborted || stream !== camera) return
      if (shown) showNext(frame)
      else show(frame)
      const now = performance.now(), current = 1000 / (now - last)
      rate = rate ? 0.8 * rate + 0.2 * current : current
      last = now
      $("camera").textContent = `Stop the camera (${rate.toFixed(1)} frames a second)`
    }
  } catch (error) {
    if (signal.aborted || stream !== camera) return // somebody has stopped it
    stop()
    complain(`No camera: ${error.message}${ADVICE[error.name] ?? ""}`)
  }
}

connect({taken, content})
$("camera").onclick = () => stream ? stop() : live()
