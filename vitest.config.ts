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

/** Files that wait for hosts begin first, or the last of them would have the machine for itself; a project at a time, whose processes load the sources once. */
class SlowFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId, project }: TestSpecification): number =>
      /\/test\/(chaos|e2e|transport)\//.test(moduleId) ? 0 : project.name === "direct" ? 2 : 1;
    return (await super.sort(files)).sort((one, other) => rank(one) - rank(other));
  }
}

// Most tests wait for processes and connections: one file for each core would leave the cores idle.
const unit = {
  maxWorkers: Math.max(6, availableParallelism()),
  isolate: false,
  setupFiles: ["test/lib/unchanged-process.ts"],
  testTimeout: 120_000,
  hookTimeout: 240_000,
  expect: { poll: { timeout: 60_000, interval: 20 } },
};

export default defineConfig({
  resolve: { alias },
  test: {
    sequence: { sequencer: SlowFirst },
    projects: [
      {
        resolve: { alias },
        test: {
          ...unit,
          name: "unit",
          include: ["test/**/*.test.{ts,tsx}"],
          exclude: ["test/fleet/**"],
        },
      },
      {
        resolve: { alias },
        test: {
          ...unit,
          // The actions' own tests, once more, on a host at the other end of a connection.
          name: "direct",
          include: ["test/actions/**/*.test.ts"],
          env: { VOLLEY_TEST_SYSTEM: "direct" },
          setupFiles: [...unit.setupFiles, "test/direct/lib/stop-host.ts"],
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
