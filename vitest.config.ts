import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

const src = (path: string): string => fileURLToPath(new URL(`./src/${path}`, import.meta.url));
const alias = [
  { find: /^volley$/, replacement: src("index.ts") },
  { find: /^volley\/controller$/, replacement: src("controller.ts") },
  { find: /^volley\/testing$/, replacement: src("testing.ts") },
];

const LONGEST =
  /\/test\/((direct|fleet)\/actions-\w+|ansible\/language|actions\/packages\/pip|docs)\.test\.ts$/;
const LONG = /\/test\/(agent|ansible|bundle|chaos|cli|convert|direct|e2e|fanout|fuzz|transport)\//;

/** The longest files begin first, then those that wait for hosts, or the last of them would have the machine for itself. */
class SlowFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number =>
      LONGEST.test(moduleId) ? 0 : LONG.test(moduleId) ? 1 : 2;
    return (await super.sort(files)).sort((one, other) => rank(one) - rank(other));
  }
}

export default defineConfig({
  resolve: { alias },
  test: {
    sequence: { sequencer: SlowFirst },
    projects: [
      {
        resolve: { alias },
        // Screens are drawn by the React that people get (src/reporter/kinds.ts): the one for development takes longer.
        oxc: { jsx: { development: false } },
        test: {
          name: "unit",
          // Most tests wait for processes and connections: one file for each core would leave the cores idle.
          maxWorkers: Math.max(6, availableParallelism()),
          isolate: false,
          env: { NODE_ENV: "production" },
          setupFiles: ["test/lib/unchanged-process.ts"],
          testTimeout: 300_000,
          hookTimeout: 600_000,
          expect: { poll: { timeout: 60_000, interval: 20 } },
          include: ["test/**/*.test.{ts,tsx}"],
          exclude: ["test/fleet/**"],
        },
      },
      {
        resolve: { alias },
        test: {
          name: "fleet",
          include: ["test/fleet/**/*.test.ts"],
          testTimeout: 600_000,
          hookTimeout: 900_000,
          expect: { poll: { timeout: 60_000, interval: 50 } },
          // Each file has hosts of its own. More at a time would only make them wait for the same cores.
          maxWorkers: 2,
        },
      },
    ],
  },
});
