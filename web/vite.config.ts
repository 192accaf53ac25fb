import { defineConfig } from "vite";

// Relative addresses, since on AWS the page lies below the API's stage; no inlined assets, since the page's
// Content-Security-Policy admits files of its own origin alone.
export default defineConfig({
  base: "./",
  build: {
    outDir: "../chalicelib/static",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: "es2022",
    reportCompressedSize: false,
  },
});
