import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const src = (path: string): string => fileURLToPath(new URL(`./src/${path}`, import.meta.url));
const alias = [
  { find: /^volley$/, replacement: src("index.ts") },
  { find: /^volley\/controller$/, replacement: src("controller.ts") },
  { find: /^volley\/testing$/, replacement: src("testing.ts") },
];

export default defineConfig({
  resolve: { alias },
  test: {
    projects: [
      {
        resolve: { alias },
        test: {
          name: "unit",
          // Most tests wait for processes and connections: one file for each core would leave the cores idle.
          maxWorkers: Math.max(6, availableParallelism()),
          include: ["test/**/*.test.{ts,tsx}"],
          exclude: ["test/fleet/**"],
          testTimeout: 120_000,
          hookTimeout: 240_000,
          expect: { poll: { timeout: 60_000, interval: 20 } },
        },
      },
      {
        resolve: { alias },
        test: {
          name: "fleet",
          include: ["test/fleet/**/*.test.ts"],
          testTimeout: 240_000,
          hookTimeout: 900_000,
          expect: { poll: { timeout: 60_000, interval: 50 } },
          fileParallelism: false,
        },
      },
    ],
  },
});
