// What the page of the service and the page without a server share: photos are taken, shown with their parts, and saved.

const SMALLEST = 640, LARGEST = 1024 // pixels of the longer side of what is seen

export const $ = (id) => document.getElementById(id)
export const made = (tag, values = {}) => Object.assign(document.createElement(tag), values)
const percent = (share) => share < 0.001 ? "<0.1\u00a0%" : `${(100 * share).toFixed(1)}\u00a0%`

/** What somebody is looking at: {name, canvas, ids (of its pixels), parts}. With several people also `owners`, the number
 * of the person at every pixel, 0 for nobody, and `people`, [{parts}], the first of whom has number 1. */
export let shown = null
export let seen = null // of it: everybody, which is `shown` itself, or one person {number, ids, parts, others}
export let chosen = new Set() // names of parts
export let pointed = null // the name of one
let near = 0 // number of the person who is pointed at
let running = new AbortController() // its signal is aborted when other photos take the place of those before
let decorate = () => {} // draws what one page alone draws

/** The canvas for a photo of (width, height), as large as it is seen. */
export function canvasFor(width, height) {
  const longest = Math.max(width, height), scale = Math.min(Math.max(longest, SMALLEST), LARGEST) / longest
  const [w, h] = [width, height].map((side) => Math.max(1, Math.round(side * scale)))
  return made("canvas", {width: w, height: h})
}

/** Removes all photos. The signal is aborted when others take their place. */
export function begin() {
  running.abort()
  running = new AbortController()
  $("notice").replaceChildren()
  for (const image of $("photos").querySelectorAll("img")) URL.revokeObjectURL(image.src)
  $("photos").replaceChildren()
  show(null)
  return running.signal
}

/** Photos that are dropped, pasted or chosen take the place of those before. `parsed(file, signal)` gives what is shown. */
export async function take(files, parsed) {
  const signal = begin()
  if (files.length) $("empty").textContent = "Parsing …"
  for (const file of files) {
    try {
      if (!file.size) throw new Error("expected a photo, got an empty file")
      const photo = await parsed(file, signal)
      if (signal.aborted) return
      const button = made("button", {onclick: () => show(photo, button)}), line = made("li")
      button.append(made("img", {src: URL.createObjectURL(file), alt: file.name}))
      line.append(button)
      $("photos").append(line)
      if (!shown) show(photo, button)
    } catch (error) {
      if (signal.aborted) return
      complain(`${file.name}: ${error.message}`)
    }
  }
  if (!shown) $("empty").textContent = "The photo and its parts appear here."
}

export function complain(message) {
  $("notice").append(made("p", {textContent: message}))
}

export function show(photo, button) {
  shown = seen = photo
  $("result").hidden = !photo
  $("empty").hidden = !!photo
  if (!photo) return
  for (const other of $("photos").querySelectorAll("button")) other.setAttribute("aria-current", other === button)
  listPeople()
  see(0)
  $("stage").scrollIntoView({block: "nearest"})
}

/** The next frame of what is shown. What is chosen stays, and so does a list that somebody is in. */
export function showNext(photo) {
  shown = seen = photo
  if (!$("parts").contains(document.activeElement)) list()
  draw()
}

/** How many people can be told apart; 0 for one, who is all that there is. */
const several = () => shown.people?.length > 1 ? shown.people.length : 0

/** Buttons for everybody and for each person, where there are several. */
function listPeople() {
  const count = several()
  $("crowd").hidden = !count
  $("count").textContent = `${count} people`
  $("people").replaceChildren(...Array.from({length: count && count + 1}, (_, number) => {
    const button = made("button", {value: number, onclick: () => see(number)})
    button.onpointerenter = button.onfocus = () => point(null, number)
    button.onpointerleave = button.onblur = () => point(null)
    button.append(portrait(number), made("span", {textContent: number ? `Person ${number}` : "Everybody"}))
    const line = made("li")
    line.append(button)
    return line
  }))
}

/** A square of the photo from the top of a person, or from its middle for everybody. */
function portrait(number) {
  const {canvas, owners} = shown, columns = [], rows = []
  for (let i = 0; number && i < owners.length; i++) {
    if (owners[i] === number) columns[i % canvas.width] = rows[Math.floor(i / canvas.width)] = true
  }
  const [left, top] = [columns, rows].map((places) => Math.max(0, places.indexOf(true)))
  const width = (columns.length || canvas.width) - left, height = (rows.length || canvas.height) - top
  const side = Math.min(width, height), square = made("canvas", {width: 192, height: 192})
  square.getContext("2d").drawImage(canvas, left + (width - side) / 2, top, side, side, 0, 0, 192, 192)
  square.setAttribute("aria-hidden", true)
  return square
}

/** Shows one person, or everybody for 0. */
function see(number) {
  const own = (value, i) => shown.owners[i] === number ? value : 0
  seen = number ? {...shown.people[number - 1], number, ids: shown.ids.map(own),
    others: shown.owners.map((owner) => Number(owner !== number))} : shown
  chosen = new Set()
  for (const button of $("people").querySelectorAll("button")) button.setAttribute("aria-pressed", button.value === `${number}`)
  list()
  point(null)
}

/** Size, name and parts of what is seen. */
function list() {
  const {number} = seen, whose = number ? `person ${number}` : ""
  $("parts").replaceChildren(...seen.parts.map(item))
  $("which").textContent = !seen.parts.length ? "Nobody found in this photo"
    : number ? `Parts of ${whose}: choose some to show and save` : "Choose parts to show and save"
  $("save").textContent = `Save ${whose}`
  $("here").dataset.hint = `Point at a part for its name and size; click ${several() && !number ? "a person to see them alone" : "it to see only that"}`
  Object.assign($("view"), {width: shown.canvas.width, height: shown.canvas.height})
  const words = seen.parts.map(({name, share}) => `${name} ${percent(share)}`).join(", ")
  $("view").setAttribute("aria-label", `${shown.name}${whose && `, ${whose}`} with its parts: ${words || "nobody found"}`)
}

function item(part) {
  const button = made("button", {value: part.name, onclick: () => choose(part.name)})
  button.setAttribute("aria-pressed", chosen.has(part.name))
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

/** Name and size of the part that is pointed at, or else of the one that was chosen last. A person is outlined. */
function point(name, number = 0) {
  pointed = name
  near = number
  if (!seen) return
  const part = seen.parts.find((part) => part.name === (name ?? [...chosen].at(-1)))
  const sure = part?.confidence == null ? "" : `, ${Math.round(100 * part.confidence)}\u00a0% confidence`
  $("here").textContent = part ? `${part.name}: ${percent(part.share)} of the photo, ${part.area.toLocaleString("en")} pixels${sure}` : ""
  draw()
}

/** The chosen parts, or all. */
export const selected = () => seen.parts.filter(({name}) => !chosen.size || chosen.has(name))

function draw() {
  if (!shown) return
  const {width, height} = shown.canvas, context = $("view").getContext("2d")
  const lit = pointed ? seen.parts.filter(({name}) => name === pointed) : selected()
  context.clearRect(0, 0, width, height)
  context.drawImage(shown.canvas, 0, 0)
  if (seen.number) paint(context, seen.others, [{id: 1, color: [0, 0, 0]}], 0.7)
  paint(context, seen.ids, lit)
  if (several() && near && near !== seen.number) paint(context, outline(near), [{id: 1, color: [255, 255, 255]}], 1)
  const written = []
  if ($("names").checked) lit.forEach((part) => write(context, part, written))
  decorate(context)
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

/** Writes the name of a part, unless it lies over one of those `written`. */
function write(context, {name, id}, written) {
  seen.places ??= roomiest(seen.ids, context.canvas.width, context.canvas.height)
  const place = seen.places[id], size = 14 * context.canvas.width / context.canvas.clientWidth
  if (!place || (place.depth < size / 3 && name !== pointed)) return
  Object.assign(context, {font: `600 ${size}px system-ui, sans-serif`, textAlign: "center", textBaseline: "middle",
    lineWidth: size / 4, lineJoin: "round", strokeStyle: "black", fillStyle: "white"})
  const half = context.measureText(name).width / 2 + 4
  const x = Math.min(Math.max(place.x, half), context.canvas.width - half)
  if (written.some((other) => Math.abs(other.x - x) < other.half + half && Math.abs(other.y - place.y) < size)) return
  written.push({x, y: place.y, half})
  context.strokeText(name, x, place.y)
  context.fillText(name, x, place.y)
}

/** 1 on the edge of a person, 0 elsewhere. */
function outline(number) {
  const {owners, canvas: {width, height}} = shown, broad = Math.ceil(Math.max(width, height) / 400)
  const steps = [broad, -broad, broad * width, -broad * width]
  return owners.map((owner, i) => Number(owner === number && steps.some((step) => owners[i + step] !== number)))
}

/** The colours of parts over a canvas, whose pixels have these ids. */
export function paint(context, ids, parts, opaque = $("opacity").value) {
  const {width, height} = context.canvas
  const layer = new ImageData(width, height), opacity = Math.round(255 * opaque)
  const color = Object.fromEntries(parts.map((part) => [part.id, part.color]))
  for (let i = 0, at = 0; i < ids.length; i++, at += 4) {
    const levels = color[ids[i]]
    if (levels) [layer.data[at], layer.data[at + 1], layer.data[at + 2], layer.data[at + 3]] = [...levels, opacity]
  }
  const over = made("canvas", {width, height})
  over.getContext("2d").putImageData(layer, 0, 0)
  context.drawImage(over, 0, 0)
}

/** The name of the part under the pointer, and the number of the person. */
function under({offsetX, offsetY}) {
  const view = $("view"), x = Math.floor(offsetX * view.width / view.clientWidth)
  const at = Math.floor(offsetY * view.height / view.clientHeight) * view.width + x
  const name = seen.parts.find((part) => part.id === seen.ids[at])?.name ?? null
  return {name, number: several() && shown.owners[at] || 0}
}

/** A click on a person shows them alone, one on a part of theirs chooses it, and one beside them shows everybody. */
function click(event) {
  const {name, number} = under(event)
  if (number !== (seen.number ?? 0)) see(number)
  else if (name) choose(name)
}

/** Saves what a button asks for: `content(value)` gives it, with the ending of its name. */
async function save(button, content) {
  button.disabled = true
  try {
    const stem = shown.name.replace(/\.[^.]*$/, "") || "photo", whose = seen.number ? `.person${seen.number}` : ""
    const {blob, ending} = await content(button.value)
    const link = made("a", {href: URL.createObjectURL(blob), download: stem + whose + ending})
    link.click()
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000)
  } catch (error) {
    complain(error.message)
  }
  button.disabled = false
  button.focus()
}

/** Connects the page: `taken(files)` takes photos, `content(value)` gives what is saved, `more(context)` draws over
 * the photo, and the inputs with the ids `looks` change it. */
export function connect({taken, content, more = decorate, looks = []}) {
  decorate = more
  $("file").onchange = ({target}) => taken([...target.files]).then(() => { target.value = "" })
  document.onpaste = ({clipboardData}) => clipboardData.files.length && taken([...clipboardData.files])
  document.ondragover = (event) => { event.preventDefault(); $("drop").classList.add("over") }
  document.ondragleave = () => $("drop").classList.remove("over")
  document.ondrop = (event) => {
    event.preventDefault()
    $("drop").classList.remove("over")
    const {files, items} = event.dataTransfer
    const folder = [...items].map((item) => item.webkitGetAsEntry()).find((entry) => entry?.isDirectory)
    if (folder) complain(`${folder.name} is a folder; drop the photos in it`)
    else if (files.length) taken([...files])
  }
  $("examples").onclick = async ({target}) => {
    const image = target.closest("button")?.querySelector("img")
    if (image) taken([new File([await (await fetch(image.src)).blob()], image.src.split("/").pop())])
  }
  $("view").onpointermove = (event) => {
    const {name, number} = under(event)
    if (name !== pointed || number !== near) point(name, number)
  }
  $("view").onpointerleave = () => point(null)
  $("view").onclick = click
  $("downloads").onclick = ({target}) => target.value && save(target, content)
  for (const id of ["opacity", "names", ...looks]) $(id).oninput = draw
}
