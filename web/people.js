// Which person a pixel belongs to, as ssnan.results.pieces finds it in a label map: by connected regions and the heads in them.
import card from "./generated/card.js"

const {head, most, large, near, upright} = card.people
const {person} = card.unsure
const by = (list, value) => list.reduce((best, one) => value(one) < value(best) ? one : best)
const largestFirst = (a, b) => b.size - a.size

/** The connected regions of what `inside` says of label ids, and the index of the region at every pixel, -1 elsewhere. */
function regions(labels, width, inside) {
  const at = new Int32Array(labels.length).fill(-1), found = [], height = labels.length / width
  for (let start = 0; start < labels.length; start++) {
    if (!inside[labels[start]] || at[start] >= 0) continue
    const region = {index: found.length, first: start, size: 0, y: 0, x: 0, top: height, bottom: 0, left: width, right: 0}
    at[start] = found.push(region) - 1
    for (const stack = [start]; stack.length;) {
      const place = stack.pop(), x = place % width, y = (place - x) / width
      region.size++
      region.y += y
      region.x += x
      region.top = Math.min(region.top, y)
      region.bottom = Math.max(region.bottom, y + 1)
      region.left = Math.min(region.left, x)
      region.right = Math.max(region.right, x + 1)
      for (let v = Math.max(0, y - 1); v <= Math.min(height - 1, y + 1); v++) {
        for (let u = Math.max(0, x - 1); u <= Math.min(width - 1, x + 1); u++) {
          const next = v * width + u
          if (at[next] >= 0 || !inside[labels[next]]) continue
          at[next] = region.index
          stack.push(next)
        }
      }
    }
    region.y /= region.size
    region.x /= region.size
  }
  return {at, found}
}

/** Pixels between the boxes of two regions. */
const gap = (a, b) => Math.hypot(Math.max(0, a.top - b.bottom, b.top - a.bottom), Math.max(0, a.left - b.right, b.left - a.right))

/** How far a pixel is from a head; downwards counts less. */
const away = ({y, x}, row, column) => Math.hypot(row > y ? (row - y) / upright : row - y, column - x)

/** The number of the person at every pixel of a label map, 1 to n, largest first, and 0 for nobody. */
export function numbered(labels, width) {
  const {at, found} = regions(labels, width, person)
  const sorted = [...found].sort(largestFirst), all = regions(labels, width, head).found.sort(largestFirst)
  const heads = all.filter(({size}) => size >= large * all[0].size).slice(0, most)
  for (const region of found) region.heads = []
  heads.forEach((one, i) => found[at[one.first]].heads.push({...one, number: i + 1}))
  const owned = found.filter(({heads}) => heads.length)
  for (const region of owned) region.owner = region.heads[0].number
  let count = heads.length
  for (const region of sorted) {
    if (region.owner) continue
    const nearest = owned.length && by(owned, (other) => gap(region, other)), big = region.size >= large * sorted[0].size
    if (nearest && (heads.length || !big) && gap(region, nearest) <= near * Math.sqrt(nearest.size)) region.owner = nearest.owner
    else if (big && count < most) region.owner = ++count
    else continue
    owned.push(region)
  }
  const numbers = new Uint8Array(labels.length), areas = new Uint32Array(count + 1)
  for (let i = 0; i < labels.length; i++) {
    const {owner = 0, heads = []} = found[at[i]] ?? {}, x = i % width, y = (i - x) / width
    numbers[i] = heads.length < 2 ? owner : by(heads, (one) => away(one, y, x)).number
    areas[numbers[i]]++
  }
  const order = [...areas.keys()].filter((number) => number && areas[number]).sort((a, b) => areas[b] - areas[a])
  return numbers.map((number) => order.indexOf(number) + 1)
}
