import { afterAll, expect } from "vitest";

// Test files share processes: to load the sources anew for each of them took as long as a fifth of the tests.
// A file that leaves its process changed would change what the next one tests, so it fails itself.
const state = (): unknown => ({
  environment: { ...process.env },
  directory: process.cwd(),
  umask: process.umask(),
  exitCode: process.exitCode,
});
const before = state();
afterAll(() => {
  expect(state()).toEqual(before);
});
