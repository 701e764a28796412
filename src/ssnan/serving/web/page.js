// A photo goes to api/parse and comes back as a map and what is in it; the page draws it.
import {$, canvasFor, chosen, complain, connect, made, seen, shown, take} from "./view.js"

const SAVED = { // what the buttons ask the service for
  map: {accept: "image/png", ending: ".png"},
  overlay: {accept: "application/zip", save: "overlay", colors: "distinct", ending: ".overlay.png"},
  cutout: {accept: "application/zip", save: "cutout", ending: ".cutout.png"},
  json: {accept: "application/json", ending: ".json"},
}

let latest = [] // files of the photos

async function ask(file, {accept, save = "", colors = "labels"}, {parts = [], person, signal} = {}) {
  const query = new URLSearchParams({save, colors, parts: [...parts].join(",")})
  if (person) query.set("person", person)
  if ($("model").value) query.set("model", $("model").value)
  for (let attempt = 1; ; attempt++) {
    const answer = await fetch(`api/parse?${query}`, {method: "POST", body: file, headers: {accept}, signal})
    if (answer.ok) return answer
    if (answer.status !== 429 || attempt === 10) throw new Error((await answer.json()).error.replace(/^the file: /, ""))
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
export async function labels(png, width, height) {
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

async function parsed(file, signal) {
  const question = {accept: "application/zip", save: "json,people", colors: "distinct"}
  const files = unzipped(await (await ask(file, question, {signal})).arrayBuffer())
  const found = JSON.parse(new TextDecoder().decode(files["photo.json"]))
  const canvas = canvasFor(found.width, found.height), {width, height} = canvas
  const [ids, owners] = await Promise.all(["", ".people"].map((kind) => labels(files[`photo${kind}.png`], width, height)))
  const photo = await createImageBitmap(file).catch(() => null)
  if (photo) canvas.getContext("2d").drawImage(photo, 0, 0, width, height)
  else complain(`${file.name}: this browser cannot show it; here is its map alone`)
  const listed = ({parts}) => Object.entries(parts).map(([name, part]) => ({name, ...part, share: part.area / found.width / found.height}))
    .filter(({id}) => id).sort((a, b) => b.area - a.area)
  const people = found.people.map((person) => ({joints: person.joints, parts: listed(person)}))
  return {name: file.name, file, canvas, ids, owners, people, parts: listed(found), scale: width / found.width}
}

function more(context) {
  if ($("joints").checked) (seen.number ? [seen] : shown.people).forEach((person) => joints(context, person))
}

function joints(context, person) {
  const {scale} = shown, radius = Math.max(4, shown.canvas.height / 110)
  const points = Object.values(person.joints).filter(Boolean).map((point) => point.map((value) => value * scale))
  const center = person.joints["upper-body"]?.map((value) => value * scale)
  Object.assign(context, {lineWidth: radius / 2, strokeStyle: "white", fillStyle: "white"})
  for (const [x, y] of points) {
    context.beginPath()
    if (center) context.moveTo(...center), context.lineTo(x, y), context.stroke()
    context.beginPath()
    context.arc(x, y, radius, 0, 2 * Math.PI)
    context.fill()
  }
}

async function content(value) {
  const {file} = shown, question = SAVED[value]
  let blob = await (await ask(file, question, {parts: chosen, person: seen.number})).blob()
  if (question.save) blob = new Blob([unzipped(await blob.arrayBuffer())[`photo${question.ending}`]])
  if (value === "json") blob = new Blob([JSON.stringify({image: file.name, ...JSON.parse(await blob.text())}, null, 2)])
  return {blob, ending: question.ending}
}

function taken(files) {
  latest = files
  return take(files, parsed)
}

connect({taken, content, more, looks: ["joints"]})
$("model").onchange = () => taken(latest)

fetch("api/models").then((answer) => answer.json()).then((models) => {
  $("model").append(...models.map(({name}) => made("option", {value: name, textContent: name})))
  $("models").hidden = models.length < 2
})
