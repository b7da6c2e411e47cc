import { expect, test } from "vitest";
import api from "../openapi.json";
import { ASKED } from "../asked";

test("`npm run dev` passes every route of the daemon on to it, and none of the page", () => {
  const asked = new RegExp(ASKED);
  const routes = Object.keys(api.paths).filter((path) => !/^\/ui(\/|$)/.test(path));
  expect(routes).toContain("/pace");
  expect(routes.filter((path) => !asked.test(path))).toEqual([]);
  expect(["/ui", "/ui/", "/ui/@vite/client", "/ui/src/main.tsx", "/ui?x"].filter((path) => asked.test(path))).toEqual([]);
});
