import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { statPath } from "../../src/system/stat-path.ts";
import { createTemplates } from "../../src/template/index.ts";

it.each([
  ["is missing", "none"],
  ["leads nowhere", "lost"],
  ["leads to itself", "loop"],
  ["lies below a file", "file/below"],
  ["is too long for a name", "x".repeat(300)],
])("nothing is found, and no template finds anything, where a path %s", (_what, path) => {
  const directory = mkdtempSync(join(tmpdir(), "stat-path-"));
  try {
    writeFileSync(join(directory, "file"), "");
    symlinkSync("none", join(directory, "lost"));
    symlinkSync("loop", join(directory, "loop"));
    const full = join(directory, path);
    expect(statPath(full)).toBeUndefined();
    expect(statPath(join(directory, "file"))?.isFile()).toBe(true);
    const templates = createTemplates({});
    expect(templates.renderString("{{ full is exists }} {{ full is file }}", { full })).toBe("False False");
  } finally {
    rmSync(directory, { recursive: true });
  }
});
