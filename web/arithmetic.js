// What ssnan.scores and ssnan.parsing do between a photo and its label map, with Pillow's arithmetic.
import card from "./generated/card.js"

const {mean, std, longest_side: longest, multiple, min_side: shortest} = card.preprocessing
const {unsure} = card

/** Python's round: halves go to the even neighbour. */
export const rounded = (value) => value % 1 === 0.5 ? 2 * Math.round(value / 2) : Math.round(value)

/** Height and width at the network's input, `scale` times as large as usual. */
export function inputSize(height, width, scale = 1) {
  const factor = longest === null ? scale : scale * longest / Math.max(height, width)
  return [height, width].map((side) => Math.max(shortest, rounded((side * factor - 1) / multiple) * multiple + 1))
}

/** Where each of `count` outputs reads between `left` and `right` of `size` inputs, and how it weighs them: Pillow's
 * bilinear filter, which averages when it shrinks. */
function taps(size, left, right, count) {
  const step = (right - left) / count, reach = Math.max(step, 1)
  return Array.from({length: count}, (_, i) => {
    const center = left + (i + 0.5) * step
    const first = Math.max(0, Math.trunc(center - reach + 0.5)), end = Math.min(size, Math.trunc(center + reach + 0.5))
    const weights = Array.from({length: end - first}, (_, k) => Math.max(0, 1 - Math.abs((k + first - center + 0.5) / reach)))
    const sum = weights.reduce((a, b) => a + b, 0)
    return {first, weights: weights.map((weight) => weight / sum)}
  })
}

const BITS = 22 // Pillow's fixed point

/** RGBA rows (H, W) to RGB rows (h, w), uint8. `rows(top, bottom)` gives the source's RGBA bytes. */
export function resizedPixels(rows, height, width, h, w) {
  const fixed = (list) => list.map(({first, weights}) => ({first, weights: weights.map((one) => Math.floor(one * 2 ** BITS + 0.5))}))
  const across = fixed(taps(width, 0, width, w)), down = fixed(taps(height, 0, height, h))
  const narrow = new Uint8ClampedArray(height * w * 3), result = new Uint8ClampedArray(h * w * 3)
  const strip = Math.max(1, Math.floor((1 << 22) / width))
  for (let top = 0; top < height; top += strip) {
    const bottom = Math.min(top + strip, height), source = rows(top, bottom)
    for (let y = top; y < bottom; y++) {
      for (let x = 0, to = y * w * 3; x < w; x++) {
        const {first, weights} = across[x]
        for (let channel = 0; channel < 3; channel++, to++) {
          let sum = 1 << BITS - 1
          for (let k = 0, at = ((y - top) * width + first) * 4 + channel; k < weights.length; k++, at += 4) sum += source[at] * weights[k]
          narrow[to] = sum >> BITS
        }
      }
    }
  }
  for (let y = 0, to = 0; y < h; y++) {
    const {first, weights} = down[y]
    for (let x = 0; x < w * 3; x++, to++) {
      let sum = 1 << BITS - 1
      for (let k = 0, at = first * w * 3 + x; k < weights.length; k++, at += w * 3) sum += narrow[at] * weights[k]
      result[to] = sum >> BITS
    }
  }
  return result
}

/** RGB (h, w) to normalised float32 (3, h, w), rounded to float32 at every step, as numpy does. */
export function normalised(rgb) {
  const count = rgb.length / 3, pixels = new Float32Array(rgb.length), float32 = Math.fround
  for (let channel = 0; channel < 3; channel++) {
    const deviation = float32(std[channel])
    const gain = float32(1 / float32(255 * deviation)), shift = float32(float32(mean[channel]) / deviation)
    for (let i = 0; i < count; i++) pixels[channel * count + i] = float32(rgb[3 * i + channel] * gain) - shift
  }
  return pixels
}

/** Corners aligned: the first pixel lies on the first feature, the last on the last. */
function aligned(pixels, features) {
  const step = (features - 1) / Math.max(pixels - 1, 1)
  return taps(features, Math.max(0, 0.5 - 0.5 * step), Math.min(features, 0.5 + (pixels - 0.5) * step), pixels)
}

/** Calls `row(y, mixed, across)` for every row of the map: scores (C, w) of the row, and how its pixels read them. */
function eachRow({data, dims: [, classes, h, w]}, height, width, row) {
  const across = aligned(width, w), down = aligned(height, h), mixed = new Float32Array(classes * w)
  down.forEach(({first, weights}, y) => {
    mixed.fill(0)
    for (let c = 0; c < classes; c++) {
      for (let k = 0; k < weights.length; k++) {
        for (let x = 0, from = (c * h + first + k) * w; x < w; x++) mixed[c * w + x] += weights[k] * data[from + x]
      }
    }
    row(y, mixed, across)
  })
}

/** The scores, in which the background wins everywhere if the mean probability of a person, over the positions that a
 * part wins, is below what the model's card asks for. */
export function withoutUnsurePeople({data, dims}) {
  const [, classes, h, w] = dims, count = h * w, tops = new Float32Array(count)
  let called = 0, total = 0
  for (let i = 0; i < count; i++) {
    let best = 0
    for (let c = 1; c < classes; c++) if (data[c * count + i] > data[best * count + i]) best = c
    tops[i] = data[best * count + i]
    if (!unsure.person[best]) continue
    let person = 0, all = 0
    for (let c = 0; c < classes; c++) {
      const share = Math.exp(data[c * count + i] - tops[i])
      all += share
      if (unsure.person[c]) person += share
    }
    called++
    total += person / all
  }
  if (called && total / called < unsure.least) for (let i = 0; i < count; i++) data[i] = tops[i] + unsure.margin
  return {data, dims}
}

/** Scores in which the background wins where others are nearer than person `number`, and not around that person. */
export function withoutOthers({data, dims}, owners, number, height, width) {
  const [, classes, h, w] = dims, count = h * w, own = new Set(), strange = new Set(), cleared = data.slice()
  for (let i = 0; i < owners.length; i++) {
    if (!owners[i]) continue
    const cell = Math.floor(Math.floor(i / width) * h / height) * w + Math.floor(i % width * w / width)
    if (owners[i] === number) own.add(cell)
    else strange.add(cell)
  }
  const [ours, theirs] = [own, strange].map((cells) => [...cells].map((cell) => [cell % w, Math.floor(cell / w)]))
  const away = (x, y, cells) => cells.reduce((least, [u, v]) => Math.min(least, (u - x) ** 2 + (v - y) ** 2), Infinity)
  for (let i = 0; i < count; i++) {
    const x = i % w, y = Math.floor(i / w), near = own.has(i) ? 0 : away(x, y, ours)
    if (near <= card.people.around ** 2 || near <= away(x, y, theirs)) continue
    for (let c = 0; c < classes; c++) cleared[i] = Math.max(cleared[i], data[c * count + i])
    cleared[i] += card.people.above
  }
  return {data: cleared, dims}
}

/** Class of the highest score at every pixel, uint8 (height, width). */
export function labelsAt(scores, height, width) {
  const [, classes, , w] = scores.dims, labels = new Uint8Array(height * width)
  eachRow(scores, height, width, (y, mixed, across) => {
    let known = -1, knownCount = 0, candidates = []
    for (let x = 0; x < width; x++) {
      const {first, weights} = across[x]
      if (first !== known || weights.length !== knownCount) {
        [known, knownCount, candidates] = [first, weights.length, canWin(mixed, classes, w, first, weights.length)]
      }
      let best = candidates[0], top = -Infinity
      for (let i = 0; candidates.length > 1 && i < candidates.length; i++) {
        const value = mix(mixed, candidates[i] * w + first, weights)
        if (value > top) [best, top] = [candidates[i], value]
      }
      labels[y * width + x] = best
    }
  })
  return labels
}

function mix(mixed, at, weights) {
  let sum = 0
  for (let k = 0; k < weights.length; k++) sum += weights[k] * mixed[at + k]
  return sum
}

/** Classes that can be the highest between some features: whose best reaches what another has at its worst. */
function canWin(mixed, classes, w, first, count) {
  let bar = -Infinity
  for (let c = 0; c < classes; c++) {
    let worst = Infinity
    for (let k = 0; k < count; k++) worst = Math.min(worst, mixed[c * w + first + k])
    bar = Math.max(bar, worst)
  }
  const able = []
  for (let c = 0; c < classes; c++) {
    for (let k = 0; k < count; k++) {
      if (mixed[c * w + first + k] < bar) continue
      able.push(c)
      break
    }
  }
  return able
}

/** Opacity of a cutout of `ids`, uint8 (height, width): it rises with the classes' probability. */
export function alphaAt(scores, ids, height, width) {
  const [, classes, , w] = scores.dims, alpha = new Uint8ClampedArray(height * width), {transparent, solid} = card.cutout
  const values = new Float64Array(classes), wanted = new Uint8Array(classes)
  for (const id of ids) wanted[id] = 1
  eachRow(scores, height, width, (y, mixed, across) => {
    for (let x = 0; x < width; x++) {
      let top = -Infinity, all = 0, some = 0
      for (let c = 0; c < classes; c++) {
        values[c] = mix(mixed, c * w + across[x].first, across[x].weights)
        if (values[c] > top) top = values[c]
      }
      for (let c = 0; c < classes; c++) {
        const share = Math.exp(values[c] - top)
        all += share
        some += wanted[c] * share
      }
      alpha[y * width + x] = 255 * (some / all - transparent) / (solid - transparent)
    }
  })
  return alpha
}
