import "../src/ssnan/serving/web/page.css"
import "./web.css"
import card from "./generated/card.js"
import {palettePng} from "./png.js"

const SIDE = 1024 // pixels of what is seen, at most
const LIVE = 0.5 // scale of the camera's frames at the network, against that of photos
const PATIENCE = 4000 // milliseconds for the service worker, which some browsers never start
const LATEST = 20 // photos at once
const {classes, palette} = card.labelSet

const $ = (id) => document.getElementById(id)
const made = (tag, values = {}) => Object.assign(document.createElement(tag), values)
const percent = (share) => share < 0.001 ? "<0.1\u00a0%" : `${(100 * share).toFixed(1)}\u00a0%`

let shown = null // what somebody is looking at: {name, canvas, labels, scores, height, width, parts}
let chosen = new Set() // ids of parts
let pointed = null // the id of one
let turn = 0 // grows when other photos, or the camera, take the place of those before

// ---- The network, in a worker

let worker = null
const waiting = new Map()

function ask(task, values = {}, transfer = []) {
  return new Promise((resolve, reject) => {
    const id = waiting.size ? Math.max(...waiting.keys()) + 1 : 0
    waiting.set(id, {resolve, reject})
    worker.postMessage({id, task, ...values}, transfer)
  })
}

async function start() {
  if (await isolating()) return // the page loads again
  worker = new Worker(new URL("./worker.js", import.meta.url), {type: "module"})
  worker.onmessage = ({data: {id, error, ...values}}) => {
    const {resolve, reject} = waiting.get(id)
    waiting.delete(id)
    if (error) reject(new Error(error))
    else resolve(values)
  }
  worker.onerror = ({message}) => complain(`The engine does not start (${message}); try a newer browser`)
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

const ready = start().catch((error) => {
  complain(`The engine does not start: ${error.message}`)
  $("engine").textContent = "Engine: none"
})

// ---- From a photo to what is shown

async function parsed(photo, name, scale = 1) {
  const {width, height} = photo, small = Math.min(1, SIDE / Math.max(width, height))
  const canvas = made("canvas", {width: Math.max(1, Math.round(width * small)), height: Math.max(1, Math.round(height * small))})
  const context = canvas.getContext("2d")
  context.imageSmoothingQuality = "high"
  context.drawImage(photo, 0, 0, canvas.width, canvas.height)
  await ready
  const found = await ask("parse", {photo, scale}, [photo])
  const counts = new Uint32Array(classes.length)
  for (const label of found.labels) counts[label]++
  const parts = [...counts.keys()].filter((id) => id && counts[id]).sort((a, b) => counts[b] - counts[a])
  return {...found, name, canvas, parts: parts.map((id) => ({id, name: classes[id], area: counts[id], share: counts[id] / width / height}))}
}

const opened = (file) => createImageBitmap(file, {colorSpaceConversion: "none"}).catch(() => {
  throw new Error("expected a photo that this browser can open, such as JPEG, PNG or WebP")
})

/** Photos that are dropped, pasted or chosen take the place of those before. */
async function take(files) {
  stop()
  const mine = ++turn
  $("notice").replaceChildren()
  for (const image of $("photos").querySelectorAll("img")) URL.revokeObjectURL(image.src)
  $("photos").replaceChildren()
  show(null)
  if (files.length > LATEST) complain(`${files.length} photos are too many for this page: it parses the first ${LATEST}; use ssnan parse for the rest`)
  if (files.length) $("empty").textContent = "Parsing …"
  for (const file of files.slice(0, LATEST)) {
    try {
      const photo = {...await parsed(await opened(file), file.name), file}
      if (mine !== turn) return
      const button = made("button", {onclick: () => show(photo, button)})
      button.append(made("img", {src: URL.createObjectURL(file), alt: file.name}))
      const line = made("li")
      line.append(button)
      $("photos").append(line)
      if (!shown) show(photo, button)
    } catch (error) {
      if (mine !== turn) return
      complain(`${file.name}: ${error.message}`)
    }
  }
  if (!shown) $("empty").textContent = "The photo and its parts appear here."
}

function complain(message) {
  $("notice").append(made("p", {textContent: message}))
}

function show(photo, button) {
  shown = photo
  pointed = null
  chosen = new Set()
  $("result").hidden = !photo
  $("empty").hidden = !!photo
  if (!photo) return
  for (const other of $("photos").querySelectorAll("button")) other.setAttribute("aria-current", other === button)
  list()
  point(null)
  $("view").scrollIntoView({block: "nearest"})
}

/** Size, name and parts of what is shown. */
function list() {
  $("parts").replaceChildren(...shown.parts.map(item))
  $("which").textContent = shown.parts.length ? "Choose parts to see and save only them" : "Nobody found in this photo"
  Object.assign($("view"), {width: shown.canvas.width, height: shown.canvas.height})
  const words = shown.parts.map(({name, share}) => `${name} ${percent(share)}`).join(", ")
  $("view").setAttribute("aria-label", `${shown.name} with its parts: ${words || "nobody found"}`)
}

function item(part) {
  const button = made("button", {value: part.name, onclick: () => choose(part.id)})
  button.setAttribute("aria-pressed", chosen.has(part.id))
  button.onpointerenter = button.onfocus = () => point(part.id)
  button.onpointerleave = button.onblur = () => point(null)
  const swatch = made("i")
  swatch.style.background = `rgb(${card.clearPalette[part.id]})`
  button.append(swatch, made("span", {textContent: part.name}), made("small", {textContent: percent(part.share)}))
  const line = made("li")
  line.append(button)
  return line
}

function choose(id) {
  if (!chosen.delete(id)) chosen.add(id)
  for (const button of $("parts").querySelectorAll("button")) button.setAttribute("aria-pressed", chosen.has(classes.indexOf(button.value)))
  point(pointed)
}

/** Name and size of the part that is pointed at, or else of the one that was chosen last. */
function point(id) {
  pointed = id
  const part = shown.parts.find((one) => one.id === (id ?? [...chosen].at(-1)))
  $("here").textContent = part ? `${part.name}: ${percent(part.share)} of the photo, ${part.area.toLocaleString("en")} pixels` : ""
  draw()
}

function draw() {
  if (!shown) return
  const lit = pointed === null ? chosen : new Set([pointed])
  paint($("view"), shown.canvas, shown.canvas.width, shown.canvas.height, lit)
}

/** The photo under the map of the parts in `lit`, of all if there are none. */
function paint(target, photo, width, height, lit) {
  const layer = new ImageData(width, height), opacity = Math.round(255 * $("opacity").value)
  const columns = Array.from({length: width}, (_, x) => Math.floor((x + 0.5) * shown.width / width))
  for (let y = 0, at = 0; y < height; y++) {
    const row = Math.floor((y + 0.5) * shown.height / height) * shown.width
    for (let x = 0; x < width; x++, at += 4) {
      const id = shown.labels[row + columns[x]]
      if (!id || (lit.size && !lit.has(id))) continue
      const [red, green, blue] = card.clearPalette[id]
      layer.data[at] = red
      layer.data[at + 1] = green
      layer.data[at + 2] = blue
      layer.data[at + 3] = opacity
    }
  }
  const over = made("canvas", {width, height}), context = target.getContext("2d")
  over.getContext("2d").putImageData(layer, 0, 0)
  context.clearRect(0, 0, width, height)
  context.drawImage(photo, 0, 0, width, height)
  context.drawImage(over, 0, 0)
}

/** The id of the part under the pointer. */
function under({offsetX, offsetY}) {
  const view = $("view")
  const [x, y] = [offsetX * shown.width / view.clientWidth, offsetY * shown.height / view.clientHeight].map(Math.floor)
  return shown.labels[y * shown.width + x] || null
}

// ---- What is saved: the chosen parts, or all

const SAVED = {
  async map({labels, width, height}) {
    return palettePng(chosen.size ? labels.map((id) => chosen.has(id) ? id : 0) : labels, width, height, palette)
  },

  async overlay(photo) {
    const canvas = await full(photo)
    paint(canvas, canvas, photo.width, photo.height, chosen)
    return png(canvas)
  },

  async cutout(photo) {
    const {scores, width, height} = photo, ids = chosen.size ? [...chosen] : [...classes.keys()].slice(1)
    const [{alpha}, canvas] = await Promise.all([ask("alpha", {scores, ids, width, height}), full(photo)])
    const context = canvas.getContext("2d"), pixels = context.getImageData(0, 0, width, height)
    for (let i = 0; i < alpha.length; i++) pixels.data[4 * i + 3] = alpha[i]
    context.putImageData(pixels, 0, 0)
    return png(canvas)
  },
}

/** The photo at its own size. */
async function full({file, canvas, width, height}) {
  const result = made("canvas", {width, height})
  result.getContext("2d").drawImage(file ? await opened(file) : canvas, 0, 0, width, height)
  return result
}

const png = (canvas) => new Promise((resolve, reject) => {
  canvas.toBlob((blob) => blob ? resolve(blob) : reject(new Error("the photo is too large for this browser to save")))
})

async function save(button) {
  button.disabled = true
  try {
    const content = await SAVED[button.value](shown), stem = shown.name.replace(/\.[^.]*$/, "") || "photo"
    const link = made("a", {href: URL.createObjectURL(content), download: `${stem}${button.value === "map" ? "" : `.${button.value}`}.png`})
    link.click()
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000)
  } catch (error) {
    complain(error.message)
  }
  button.disabled = false
  button.focus()
}

// ---- The camera

let stream = null

function stop() {
  for (const track of stream?.getTracks() ?? []) track.stop()
  stream = null
  $("camera").setAttribute("aria-pressed", false)
  $("camera").textContent = "Live camera"
}

async function live() {
  const mine = ++turn
  const video = made("video", {muted: true, playsInline: true})
  stop()
  try {
    video.srcObject = stream = await navigator.mediaDevices.getUserMedia({video: {facingMode: "user", width: {ideal: 640}}})
    await video.play()
  } catch (error) {
    return complain(`No camera: ${error.message}; allow this page to use one`)
  }
  show(null)
  $("photos").replaceChildren()
  $("camera").setAttribute("aria-pressed", true)
  for (let last = performance.now(), rate = 0; mine === turn;) {
    const frame = await parsed(await createImageBitmap(video), "camera", LIVE)
    if (mine !== turn) return
    const first = !shown
    shown = frame
    if (first) show(frame)
    else if (!$("parts").contains(document.activeElement)) list()
    draw()
    const now = performance.now(), current = 1000 / (now - last)
    rate = rate ? 0.8 * rate + 0.2 * current : current
    last = now
    $("camera").textContent = `Stop the camera (${rate.toFixed(1)} frames a second)`
  }
}

$("file").onchange = ({target}) => take([...target.files]).then(() => { target.value = "" })
document.onpaste = ({clipboardData}) => clipboardData.files.length && take([...clipboardData.files])
document.ondragover = (event) => { event.preventDefault(); $("drop").classList.add("over") }
document.ondragleave = () => $("drop").classList.remove("over")
document.ondrop = (event) => {
  event.preventDefault()
  $("drop").classList.remove("over")
  if (event.dataTransfer.files.length) take([...event.dataTransfer.files])
}
$("examples").onclick = async ({target}) => {
  const image = target.closest("button")?.querySelector("img")
  if (image) take([new File([await (await fetch(image.src)).blob()], image.src.split("/").pop())])
}
$("camera").onclick = () => {
  if (!stream) return live()
  turn++
  return stop()
}
$("view").onpointermove = (event) => { const id = under(event); if (id !== pointed) point(id) }
$("view").onpointerleave = () => point(null)
$("view").onclick = (event) => { const id = under(event); if (id) choose(id) }
$("downloads").onclick = ({target}) => target.value && save(target)
$("opacity").oninput = draw
