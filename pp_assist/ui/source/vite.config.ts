import { defineConfig } from "vite";
import { ASKED } from "./asked";

/** Where the daemon listens that `npm run dev` asks: api.allowed_origins is not needed, as the requests come from here. */
const daemon = process.env.PP_DAEMON_URL ?? "http://127.0.0.1:8765";

export default defineConfig({
  base: "/ui/",
  build: {
    outDir: "../built",
    emptyOutDir: true,
    manifest: "manifest.json",
    target: "es2022",
    assetsInlineLimit: 0,
    cssCodeSplit: false,
    modulePreload: { polyfill: false },
  },
  server: {
    port: 5173,
    proxy: {
      [ASKED]: {
        target: daemon,
        changeOrigin: true,
        configure: (proxy) => {
          proxy.on("proxyReq", (request) => request.removeHeader("origin"));
        },
      },
    },
  },
});
