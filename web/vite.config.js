import {readFileSync} from "node:fs"
import {defineConfig} from "vite"

/** sw.js with the names of all files in it, so that it changes with them. */
const serviceWorker = {
  name: "service-worker",
  generateBundle(_, bundle) {
    const files = Object.keys(bundle).filter((name) => name.startsWith("assets/")).sort()
    const source = readFileSync(new URL("sw.js", import.meta.url), "utf8").replace("FILES = []", `FILES = ${JSON.stringify(files)}`)
    this.emitFile({type: "asset", fileName: "sw.js", source})
  },
}

const conditions = ["onnxruntime-web-use-extern-wasm", "module", "browser", "import", "default"]

export default defineConfig({
  base: "./",
  build: {assetsInlineLimit: 0, modulePreload: {polyfill: false}, target: "es2022"},
  resolve: {conditions},
  server: {fs: {allow: [".."]}},
  worker: {format: "es"},
  plugins: [serviceWorker],
})
