// Which person a pixel belongs to, as ssnan.scores.grouping groups pixels by the maps of the instance head.
import {labelsAt, rounded} from "./arithmetic.js"
import card from "./generated/card.js"

const {apart, head, least, leastHead, most, oneHead, sure} = card.people
const {person} = card.unsure

/** The label id (h, w) at the nearest pixel of every cell. */
function atCells(labels, width, height, h, w) {
  // In the order of numpy's linspace, which rounds the step.
  const nearest = (cell, cells, pixels) =>
    cells < 2 ? 0 : cell === cells - 1 ? pixels - 1 : rounded(cell * ((pixels - 1) / (cells - 1)))
  return Uint8Array.from({length: h * w}, (_, i) => labels[nearest(Math.floor(i / w), h, height) * width + nearest(i % w, w, width)])
}

/** The number of the connected piece at every cell, 0 for none, and the cells of each; pieces have the given classes. */
function connected(classes, cells, h, w) {
  const numbers = new Uint16Array(h * w), pieces = [[]]
  for (let start = 0; start < h * w; start++) {
    if (!classes[cells[start]] || numbers[start]) continue
    const number = pieces.push([]) - 1
    numbers[start] = number
    for (const stack = [start]; stack.length;) {
      const place = stack.pop(), x = place % w, y = (place - x) / w
      pieces[number].push({y, x})
      for (let v = Math.max(0, y - 1); v <= Math.min(h - 1, y + 1); v++) {
        for (let u = Math.max(0, x - 1); u <= Math.min(w - 1, x + 1); u++) {
          if (numbers[v * w + u] || !classes[cells[v * w + u]]) continue
          numbers[v * w + u] = number
          stack.push(v * w + u)
        }
      }
    }
  }
  return {numbers, pieces}
}

/** The peaks {y, x} of the centre scores near people, most probable first. */
function peaksOf({data, dims: [, , h, w]}, cells) {
  const found = [], bar = Math.log(sure / (1 - sure))
  for (let y = 0; y < h; y++) {
    for (let x = 0; x < w; x++) {
      const score = data[y * w + x]
      let highest = score > bar, near = false
      for (let v = Math.max(0, y - apart); highest && v <= Math.min(h - 1, y + apart); v++) {
        for (let u = Math.max(0, x - apart); u <= Math.min(w - 1, x + apart); u++) {
          highest &&= data[v * w + u] <= score
          near ||= person[cells[v * w + u]]
        }
      }
      if (highest && near) found.push({y, x, score})
    }
  }
  return found.sort((a, b) => b.score - a.score)
}

const between = (a, b) => Math.hypot(a.y - b.y, a.x - b.x)

/** The place that a cell points to. */
const pointed = ({data, dims: [, , h, w]}, {y, x}) => ({y: y + data[(h + y) * w + x], x: x + data[(2 * h + y) * w + x]})

/** The mean of places. */
function middleOf(places) {
  const mean = (axis) => places.reduce((sum, place) => sum + place[axis], 0) / places.length
  return {y: mean("y"), x: mean("x")}
}

/** Centres of large pieces of some classes without a centre: where a piece points to, unless that is nearer to a centre
 * than to its middle. */
function missed(maps, classes, cells, share, centers) {
  const [, , h, w] = maps.dims, {numbers, pieces} = connected(classes, cells, h, w), found = []
  const withCenter = new Set(centers.map(({y, x}) => numbers[y * w + x]))
  const largest = Math.max(...pieces.map((piece) => piece.length))
  pieces.forEach((piece, number) => {
    if (piece.length < Math.max(2, share * largest) || withCenter.has(number)) return
    const middle = middleOf(piece), place = middleOf(piece.map((cell) => pointed(maps, cell)))
    if (centers.some((center) => between(place, center) < between(place, middle))) return
    const inside = (value, cells) => Math.min(Math.max(rounded(value), 0), cells - 1)
    found.push({y: inside(place.y, h), x: inside(place.x, w)})
  })
  return found
}

/** The centres {y, x}: a large head may have several peaks, but has one centre; heads, and pieces that touch nobody with
 * a centre, have one too unless they point to another. */
function centersOf(maps, cells) {
  const [, , h, w] = maps.dims, {numbers, pieces} = connected(head, cells, h, w), places = new Map(), kept = []
  for (const {y, x} of peaksOf(maps, cells)) {
    const number = numbers[y * w + x], place = pointed(maps, {y, x}), others = places.get(number) ?? []
    if (number && others.some((other) => between(place, other) < oneHead * Math.sqrt(pieces[number].length))) continue
    kept.push({y, x})
    places.set(number, [...others, place])
  }
  kept.push(...missed(maps, head, cells, leastHead, kept))
  if (kept.length) kept.push(...missed(maps, person, cells, least, kept))
  return kept.slice(0, most)
}

/** Scores (1, n, h, w): how near the place that a cell points to is to each centre. */
function closeness({data, dims: [, , h, w]}, centers) {
  const count = h * w, near = new Float32Array(centers.length * count)
  centers.forEach((center, n) => {
    for (let i = 0; i < count; i++) {
      const x = i % w, y = (i - x) / w
      near[n * count + i] = -Math.hypot(y + data[count + i] - center.y, x + data[2 * count + i] - center.x)
    }
  })
  return {data: near, dims: [1, centers.length, h, w]}
}

/** Whether enough cells of people point to a centre. */
function withPeople(near, cells) {
  const [, count, h, w] = near.dims, votes = new Uint32Array(count)
  for (let i = 0; i < h * w; i++) {
    if (!person[cells[i]]) continue
    let best = 0
    for (let n = 1; n < count; n++) if (near.data[n * h * w + i] > near.data[best * h * w + i]) best = n
    votes[best]++
  }
  return (_, n) => votes[n] >= least * Math.max(...votes)
}

/** The number of the person at every pixel of a label map, 1 to n, largest first, and 0 for nobody, from the maps
 * (1, 3, h, w) of the instance head. */
export function grouped(maps, labels, width) {
  const height = labels.length / width, [, , h, w] = maps.dims, cells = atCells(labels, width, height, h, w)
  const centers = centersOf(maps, cells)
  if (centers.length < 2) return labels.map((id) => person[id] ? 1 : 0)
  const kept = centers.filter(withPeople(closeness(maps, centers), cells))
  const numbers = labelsAt(closeness(maps, kept), height, width), areas = new Uint32Array(1 + kept.length)
  for (let i = 0; i < numbers.length; i++) areas[numbers[i] = person[labels[i]] ? 1 + numbers[i] : 0]++
  const order = [...areas.keys()].filter((number) => number && areas[number]).sort((a, b) => areas[b] - areas[a])
  return numbers.map((number) => order.indexOf(number) + 1)
}
