// Label maps as ssnan writes them: an 8-bit palette PNG whose indices are the label ids.

const TABLE = Uint32Array.from({length: 256}, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ n >>> 1 : n >>> 1
  return n
})

function chunk(kind, content) {
  const bytes = new Uint8Array(content.length + 12), view = new DataView(bytes.buffer)
  view.setUint32(0, content.length)
  bytes.set(new TextEncoder().encode(kind), 4)
  bytes.set(content, 8)
  let crc = 0xffffffff
  for (let i = 4; i < bytes.length - 4; i++) crc = TABLE[(crc ^ bytes[i]) & 255] ^ crc >>> 8
  view.setUint32(bytes.length - 4, ~crc)
  return bytes
}

export async function palettePng(labels, width, height, palette) {
  const header = new Uint8Array(13), view = new DataView(header.buffer)
  view.setUint32(0, width)
  view.setUint32(4, height)
  header.set([8, 3], 8) // 8 bits, palette
  const lines = new Uint8Array((width + 1) * height)
  for (let y = 0; y < height; y++) lines.set(labels.subarray(y * width, (y + 1) * width), y * (width + 1) + 1)
  const packed = await new Response(new Blob([lines]).stream().pipeThrough(new CompressionStream("deflate"))).arrayBuffer()
  const signature = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10)
  return new Blob([signature, chunk("IHDR", header), chunk("PLTE", Uint8Array.from(palette.flat())),
    chunk("IDAT", new Uint8Array(packed)), chunk("IEND", new Uint8Array())], {type: "image/png"})
}
