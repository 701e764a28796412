// What the page of the service and the page without a server share: photos are taken, shown with their parts, and saved.

export const SIDE = 1024 // pixels of what is seen, at most

export const $ = (id) => document.getElementById(id)
export const made = (tag, values = {}) => Object.assign(document.createElement(tag), values)
const percent = (share) => share < 0.001 ? "<0.1\u00a0%" : `${(100 * share).toFixed(1)}\u00a0%`

export let shown = null // what somebody is looking at: {name, canvas, ids (of its pixels), parts}
export let chosen = new Set() // names of parts
export let pointed = null // the name of one
let running = new AbortController() // its signal is aborted when other photos take the place of those before
let decorate = () => {} // draws what one page alone draws

/** The canvas for a photo of (width, height), as large as it is seen. */
export function canvasFor(width, height) {
  const scale = Math.min(1, SIDE / Math.max(width, height))
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

/** The next frame of what is shown. What is chosen stays, and so does a list that somebody is in. */
export function showNext(photo) {
  shown = photo
  if (!$("parts").contains(document.activeElement)) list()
  draw()
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

/** Name and size of the part that is pointed at, or else of the one that was chosen last. */
function point(name) {
  pointed = name
  const part = shown.parts.find((part) => part.name === (name ?? [...chosen].at(-1)))
  const sure = part?.confidence == null ? "" : `, ${Math.round(100 * part.confidence)}\u00a0% confidence`
  $("here").textContent = part ? `${part.name}: ${percent(part.share)} of the photo, ${part.area.toLocaleString("en")} pixels${sure}` : ""
  draw()
}

/** The chosen parts, or all. */
export const selected = () => shown.parts.filter(({name}) => !chosen.size || chosen.has(name))

function draw() {
  if (!shown) return
  const {width, height} = shown.canvas, context = $("view").getContext("2d")
  const lit = pointed ? shown.parts.filter(({name}) => name === pointed) : selected()
  context.clearRect(0, 0, width, height)
  context.drawImage(shown.canvas, 0, 0)
  paint(context, shown.ids, lit)
  decorate(context, lit)
}

/** The colours of parts over a canvas, whose pixels have these ids. */
export function paint(context, ids, parts) {
  const {width, height} = context.canvas
  const layer = new ImageData(width, height), opacity = Math.round(255 * $("opacity").value)
  const color = Object.fromEntries(parts.map((part) => [part.id, part.color]))
  for (let i = 0, at = 0; i < ids.length; i++, at += 4) {
    const levels = color[ids[i]]
    if (levels) [layer.data[at], layer.data[at + 1], layer.data[at + 2], layer.data[at + 3]] = [...levels, opacity]
  }
  const over = made("canvas", {width, height})
  over.getContext("2d").putImageData(layer, 0, 0)
  context.drawImage(over, 0, 0)
}

/** The name of the part under the pointer. */
function under({offsetX, offsetY}) {
  const view = $("view"), x = Math.floor(offsetX * view.width / view.clientWidth)
  const id = shown.ids[Math.floor(offsetY * view.height / view.clientHeight) * view.width + x]
  return shown.parts.find((part) => part.id === id)?.name ?? null
}

/** Saves what a button asks for: `content(value)` gives it, with the ending of its name. */
async function save(button, content) {
  button.disabled = true
  try {
    const stem = shown.name.replace(/\.[^.]*$/, "") || "photo", {blob, ending} = await content(button.value)
    const link = made("a", {href: URL.createObjectURL(blob), download: stem + ending})
    link.click()
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000)
  } catch (error) {
    complain(error.message)
  }
  button.disabled = false
  button.focus()
}

/** Connects the page: `taken(files)` takes photos, `content(value)` gives what is saved, `more(context, parts)` draws over
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
    if (event.dataTransfer.files.length) taken([...event.dataTransfer.files])
  }
  $("examples").onclick = async ({target}) => {
    const image = target.closest("button")?.querySelector("img")
    if (image) taken([new File([await (await fetch(image.src)).blob()], image.src.split("/").pop())])
  }
  $("view").onpointermove = (event) => { const name = under(event); if (name !== pointed) point(name) }
  $("view").onpointerleave = () => point(null)
  $("view").onclick = (event) => { const name = under(event); if (name) choose(name) }
  $("downloads").onclick = ({target}) => target.value && save(target, content)
  for (const id of ["opacity", ...looks]) $(id).oninput = draw
}
