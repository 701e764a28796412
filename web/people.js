// Which person a pixel belongs to, as ssnan.scores.grouping groups pixels by the maps of the instance head.
import {labelsAt, rounded} from "./arithmetic.js"
import card from "./generated/card.js"

const {apart, least, most, sure} = card.people
const {person} = card.unsure

/** The centres {y, x} in the maps of the instance head, most probable first. */
function centersOf({data, dims: [, , h, w]}) {
  const found = [], kept = [], bar = Math.log(sure / (1 - sure))
  for (let y = 0; y < h; y++) {
    for (let x = 0; x < w; x++) {
      const score = data[y * w + x]
      let highest = score > bar
      for (let v = Math.max(0, y - apart); highest && v <= Math.min(h - 1, y + apart); v++) {
        for (let u = Math.max(0, x - apart); u <= Math.min(w - 1, x + apart); u++) highest &&= data[v * w + u] <= score
      }
      if (highest) found.push({y, x, score})
    }
  }
  found.sort((a, b) => b.score - a.score)
  for (const {y, x} of found.slice(0, most)) {
    const down = data[(h + y) * w + x], right = data[(2 * h + y) * w + x], own = Math.hypot(down, right)
    if (kept.every((other) => Math.hypot(y + down - other.y, x + right - other.x) >= own)) kept.push({y, x})
  }
  return kept
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

/** The centres that enough cells of people point to. */
function withPeople(near, labels, width, height) {
  const [, count, h, w] = near.dims, votes = new Uint32Array(count)
  const nearest = (cell, cells, pixels) => cells < 2 ? 0 : rounded(cell * (pixels - 1) / (cells - 1))
  for (let i = 0; i < h * w; i++) {
    const x = i % w, y = (i - x) / w
    if (!person[labels[nearest(y, h, height) * width + nearest(x, w, width)]]) continue
    let best = 0
    for (let n = 1; n < count; n++) if (near.data[n * h * w + i] > near.data[best * h * w + i]) best = n
    votes[best]++
  }
  return (_, n) => votes[n] >= least * Math.max(...votes)
}

/** The number of the person at every pixel of a label map, 1 to n, largest first, and 0 for nobody, from the maps
 * (1, 3, h, w) of the instance head. */
export function grouped(maps, labels, width) {
  const height = labels.length / width, centers = centersOf(maps)
  if (centers.length < 2) return labels.map((id) => person[id] ? 1 : 0)
  const kept = centers.filter(withPeople(closeness(maps, centers), labels, width, height))
  const numbers = labelsAt(closeness(maps, kept), height, width), areas = new Uint32Array(1 + kept.length)
  for (let i = 0; i < numbers.length; i++) areas[numbers[i] = person[labels[i]] ? 1 + numbers[i] : 0]++
  const order = [...areas.keys()].filter((number) => number && areas[number]).sort((a, b) => areas[b] - areas[a])
  return numbers.map((number) => order.indexOf(number) + 1)
}
