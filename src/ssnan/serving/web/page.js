"use strict"
// A photo goes to api/parse and comes back as a map and what is in it; all that is drawn is drawn here.

const SIDE = 1024 // pixels of what is seen, at most
const SAVED = { // what the buttons ask the service for
  map: {accept: "image/png", ending: ".png"},
  overlay: {accept: "application/zip", save: "overlay", colors: "distinct", ending: ".overlay.png"},
  cutout: {accept: "application/zip", save: "cutout", ending: ".cutout.png"},
  json: {accept: "application/json", ending: ".json"},
}

const $ = (id) => document.getElementById(id)
const made = (tag, values = {}) => Object.assign(document.createElement(tag), values)
const percent = (share) => share < 0.001 ? "<0.1\u00a0%" : `${(100 * share).toFixed(1)}\u00a0%`

let shown = null // what somebody is looking at: {file, document, parts, ids, places, canvas}
let chosen = new Set() // names of parts
let pointed = null // the name of one
let taken = [] // files of photos
let running = new AbortController() // ends what is asked for photos that nobody waits for any more

async function ask(file, {accept, save = "", colors = "labels"}, parts = [], signal = undefined) {
  const query = new URLSearchParams({save, colors, parts: [...parts].join(",")})
  if ($("model").value) query.set("model", $("model").value)
  for (let attempt = 1; ; attempt++) {
    const answer = await fetch(`api/parse?${query}`, {method: "POST", body: file, headers: {accept}, signal})
    if (answer.ok) return answer
    if (answer.status !== 429 || attempt === 10) throw new Error((await answer.json()).error)
    await new Promise((resolve) => setTimeout(resolve, 1000 * answer.headers.get("retry-after")))
  }
}

/** Files of a zip whose entries are stored as they are, by name. */
function unzipped(buffer) {
  const view = new DataView(buffer), files = {}
  for (let at = 0; view.getUint32(at, true) === 0x04034b50;) {
    const [size, name, extra] = [view.getUint32(at + 18, true), view.getUint16(at + 26, true), view.getUint16(at + 28, true)]
    const start = at + 30 + name + extra
    files[new TextDecoder().decode(new Uint8Array(buffer, at + 30, name))] = new Uint8Array(buffer, start, size)
    at = start + size
  }
  return files
}

/** Every place's label in an 8-bit palette PNG, made smaller to (width, height). A canvas would give colours, which may
 * be those of several labels, and which browsers blur for privacy. */
async function labels(png, width, height) {
  const view = new DataView(png.buffer, png.byteOffset, png.byteLength), packed = []
  for (let at = 8; at < png.length; at += 12 + view.getUint32(at)) {
    if (view.getUint32(at + 4) === 0x49444154) packed.push(png.subarray(at + 8, at + 8 + view.getUint32(at)))
  }
  const stream = new Blob(packed).stream().pipeThrough(new DecompressionStream("deflate"))
  const raw = new Uint8Array(await new Response(stream).arrayBuffer())
  const full = {width: view.getUint32(16), height: view.getUint32(20)}
  const ids = new Uint8Array(width * height)
  let above = new Uint8Array(full.width)
  for (let y = 0, next = 0; y < full.height; y++) {
    const filter = raw[y * (full.width + 1)], row = raw.subarray(y * (full.width + 1) + 1, (y + 1) * (full.width + 1))
    for (let x = 0; filter && x < full.width; x++) {
      const left = x && row[x - 1], corner = x && above[x - 1], up = above[x]
      row[x] += [0, left, up, (left + up) >> 1, nearest(left, up, corner)][filter]
    }
    for (; next < height && Math.floor((next + 0.5) * full.height / height) === y; next++) {
      for (let x = 0; x < width; x++) ids[next * width + x] = row[Math.floor((x + 0.5) * full.width / width)]
    }
    above = row
  }
  return ids
}

/** PNG's fourth filter, Paeth's. */
function nearest(left, up, corner) {
  const [a, b, c] = [Math.abs(up - corner), Math.abs(left - corner), Math.abs(left + up - 2 * corner)]
  return a <= b && a <= c ? left : b <= c ? up : corner
}

/** The place of every label that is farthest from its edge, where its name has most room. */
function roomiest(ids, width, height) {
  const depth = new Uint16Array(ids.length), places = {}
  for (let i = 0; i < ids.length; i++) {
    const inside = i % width && i >= width && ids[i - 1] === ids[i] && ids[i - width] === ids[i]
    depth[i] = inside ? Math.min(depth[i - 1], depth[i - width]) + 1 : 1
  }
  for (let i = ids.length - 1; i >= 0; i--) {
    const inside = (i + 1) % width && i + width < ids.length && ids[i + 1] === ids[i] && ids[i + width] === ids[i]
    depth[i] = inside ? Math.min(depth[i], depth[i + 1] + 1, depth[i + width] + 1) : 1
    if (depth[i] > (places[ids[i]]?.depth ?? 0)) places[ids[i]] = {depth: depth[i], x: i % width, y: Math.floor(i / width)}
  }
  return places
}

async function parsed(file, signal) {
  const question = {accept: "application/zip", save: "json", colors: "distinct"}
  const files = unzipped(await (await ask(file, question, [], signal)).arrayBuffer())
  const found = JSON.parse(new TextDecoder().decode(files["photo.json"]))
  const scale = Math.min(1, SIDE / Math.max(found.width, found.height))
  const [width, height] = [found.width, found.height].map((side) => Math.max(1, Math.round(side * scale)))
  const ids = await labels(files["photo.png"], width, height)
  const canvas = made("canvas", {width, height})
  const photo = await createImageBitmap(file).catch(() => null)
  if (photo) canvas.getContext("2d").drawImage(photo, 0, 0, width, height)
  else complain(`${file.name}: this browser cannot show it; here is its map alone`)
  const parts = Object.entries(found.parts).map(([name, part]) => ({name, ...part, share: part.area / found.width / found.height}))
  return {file, canvas, ids, document: found, places: roomiest(ids, width, height),
    parts: parts.filter(({id}) => id).sort((a, b) => b.area - a.area)}
}

/** Photos that are dropped, pasted or chosen take the place of those before. */
async function take(files) {
  running.abort()
  taken = files
  const {signal} = running = new AbortController()
  $("notice").replaceChildren()
  for (const image of $("photos").querySelectorAll("img")) URL.revokeObjectURL(image.src)
  $("photos").replaceChildren()
  show(null)
  if (files.length) $("empty").textContent = "Parsing …"
  for (const file of files) {
    try {
      const photo = await parsed(file, signal)
      if (signal.aborted) return
      const button = made("button", {onclick: () => show(photo, button)})
      button.append(made("img", {src: URL.createObjectURL(file), alt: file.name}))
      $("photos").append(made("li"))
      $("photos").lastChild.append(button)
      if (!shown) show(photo, button)
    } catch (error) {
      if (signal.aborted) return
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
  $("parts").replaceChildren(...photo.parts.map(item))
  if (photo.document.count > 1) complain(`${photo.file.name} shows ${photo.document.count} people; parts and joints are those of all together`)
  $("which").textContent = photo.parts.length ? "Choose parts to see and save only them" : "Nobody found in this photo"
  Object.assign($("view"), {width: photo.canvas.width, height: photo.canvas.height})
  const list = photo.parts.map(({name, share}) => `${name} ${percent(share)}`).join(", ")
  $("view").setAttribute("aria-label", `${photo.file.name} with its parts: ${list || "nobody found"}`)
  point(null)
  $("view").scrollIntoView({block: "nearest"})
}

function item(part) {
  const button = made("button", {value: part.name, onclick: () => choose(part.name)})
  button.setAttribute("aria-pressed", false)
  button.onpointerenter = button.onfocus = () => point(part.name)
  button.onpointerleave = button.onblur = () => point(null)
  const swatch = made("i")
  swatch.style.background = `rgb(${part.color})`
  button.append(swatch, made("span", {textContent: part.name}), made("small", {textContent: percent(part.share)}))
  const line = made("li")
  line.append(button)
  return line
}

function choose(name) {
  if (!chosen.delete(name)) chosen.add(name)
  for (const button of $("parts").querySelectorAll("button")) button.setAttribute("aria-pressed", chosen.has(button.value))
  point(pointed)
}

/** Name and size of the part that is pointed at, or else of the one that was chosen last. */
function point(name) {
  pointed = name
  const part = shown.parts.find((one) => one.name === (name ?? [...chosen].at(-1)))
  const sure = part?.confidence == null ? "" : `, ${Math.round(100 * part.confidence)}\u00a0% confidence`
  $("here").textContent = part ? `${part.name}: ${percent(part.share)} of the photo, ${part.area.toLocaleString("en")} pixels${sure}` : ""
  draw()
}

function draw() {
  if (!shown) return
  const {width, height} = shown.canvas, context = $("view").getContext("2d")
  const lit = shown.parts.filter(({name}) => pointed ? name === pointed : !chosen.size || chosen.has(name))
  const color = Object.fromEntries(lit.map((part) => [part.id, part.color]))
  const layer = new ImageData(width, height), opacity = Math.round(255 * $("opacity").value)
  for (let i = 0, at = 0; i < shown.ids.length; i++, at += 4) {
    const levels = color[shown.ids[i]]
    if (levels) [layer.data[at], layer.data[at + 1], layer.data[at + 2], layer.data[at + 3]] = [...levels, opacity]
  }
  const over = made("canvas", {width, height})
  over.getContext("2d").putImageData(layer, 0, 0)
  context.clearRect(0, 0, width, height)
  context.drawImage(shown.canvas, 0, 0)
  context.drawImage(over, 0, 0)
  if ($("names").checked) lit.forEach((part) => write(context, part))
  if ($("joints").checked) joints(context)
}

function write(context, {name, id}) {
  const place = shown.places[id], size = 14 * context.canvas.width / context.canvas.clientWidth
  if (!place || (place.depth < size / 3 && name !== pointed)) return
  Object.assign(context, {font: `600 ${size}px system-ui, sans-serif`, textAlign: "center", textBaseline: "middle",
    lineWidth: size / 4, lineJoin: "round", strokeStyle: "black", fillStyle: "white"})
  const half = context.measureText(name).width / 2 + 4
  const x = Math.min(Math.max(place.x, half), context.canvas.width - half)
  context.strokeText(name, x, place.y)
  context.fillText(name, x, place.y)
}

function joints(context) {
  const scale = shown.canvas.width / shown.document.width, radius = Math.max(4, shown.canvas.height / 110)
  const points = Object.values(shown.document.joints).filter(Boolean).map((point) => point.map((value) => value * scale))
  const center = shown.document.joints["upper-body"]?.map((value) => value * scale)
  Object.assign(context, {lineWidth: radius / 2, strokeStyle: "white", fillStyle: "white"})
  for (const [x, y] of points) {
    context.beginPath()
    if (center) context.moveTo(...center), context.lineTo(x, y), context.stroke()
    context.beginPath()
    context.arc(x, y, radius, 0, 2 * Math.PI)
    context.fill()
  }
}

/** The name of the part under the pointer. */
function under({offsetX, offsetY}) {
  const view = $("view"), x = Math.floor(offsetX * view.width / view.clientWidth)
  const id = shown.ids[Math.floor(offsetY * view.height / view.clientHeight) * view.width + x]
  return shown.parts.find((part) => part.id === id)?.name ?? null
}

async function save(button) {
  const {file} = shown, question = SAVED[button.value]
  button.disabled = true
  try {
    const answer = await ask(file, question, chosen)
    const stem = file.name.replace(/\.[^.]*$/, "") || "photo"
    let content = await answer.blob()
    if (question.save) content = new Blob([unzipped(await content.arrayBuffer())[`photo${question.ending}`]])
    if (button.value === "json") content = new Blob([JSON.stringify({image: file.name, ...JSON.parse(await content.text())}, null, 2)])
    const link = made("a", {href: URL.createObjectURL(content), download: stem + question.ending})
    link.click()
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000)
  } catch (error) {
    complain(error.message)
  }
  button.disabled = false
  button.focus()
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
$("view").onpointermove = (event) => { const name = under(event); if (name !== pointed) point(name) }
$("view").onpointerleave = () => point(null)
$("view").onclick = (event) => { const name = under(event); if (name) choose(name) }
$("downloads").onclick = ({target}) => target.value && save(target)
for (const id of ["opacity", "names", "joints"]) $(id).oninput = draw
$("model").onchange = () => take(taken)

fetch("api/models").then((answer) => answer.json()).then((models) => {
  $("model").append(...models.map(({name}) => made("option", {value: name, textContent: name})))
  $("models").hidden = models.length < 2
})
