import { homedir } from "node:os";
import { describe, expect, test } from "vitest";
import { redirectTarget } from "../../src/pull/download.ts";
import { hasLogin, parseSource } from "../../src/pull/source.ts";

describe("sources", () => {
  test.each([
    ["https://example.org/site.run", { kind: "url", shown: "https://example.org/site.run" }],
    ["site.run", { kind: "file", path: "/work/site.run" }],
    ["file:///srv/a%20b.run", { kind: "file", path: "/srv/a b.run" }],
    ["git@example.org:site.git", { kind: "git", repository: "git@example.org:site.git", path: "site.run" }],
    [
      "git+https://example.org/site#main:run/web.run",
      { repository: "https://example.org/site", ref: "main", path: "run/web.run" },
    ],
    ["https://example.org/site.git#:web.run", { kind: "git", ref: undefined, path: "web.run" }],
    ["ssh://git@example.org/site#v1.2", { kind: "git", ref: "v1.2", path: "site.run" }],
    ["../site.git", { kind: "git", repository: "/site.git" }],
  ])("%s", (text, source) => {
    expect(parseSource(text, "/work")).toMatchObject(source);
  });

  test("a directory is a repository", () => {
    expect(parseSource(homedir(), "/")).toMatchObject({ kind: "git", repository: homedir() });
  });

  test.each([
    "",
    "-x",
    "a\nb",
    "ftp://x/y",
    "https://x/y#main",
    "x.git#-x",
    "x.git#a..b",
    "x.git#:/etc/passwd",
    "x.git#:a/../b",
    "https://[",
    "file://host/x",
  ])("%j is refused", (text) => {
    expect(() => parseSource(text, "/work")).toThrow(expect.objectContaining({ code: "USAGE" }));
  });

  test.each([
    ["https://ann:sesame@example.org/site.git", "https://ann:********@example.org/site.git#:site.run", true],
    ["https://sesame@example.org/site.run", "https://********@example.org/site.run", true],
    ["https://example.org/site.run?key=sesame&x", "https://example.org/site.run?********", false],
    ["ssh://git@example.org/site", "ssh://git@example.org/site#:site.run", false],
    ["git@example.org:site.git", "git@example.org:site.git#:site.run", false],
  ])("secrets are in the URL alone, not in what is shown: %s", (text, shown, login) => {
    const source = parseSource(text, "/work");
    expect([source.shown, hasLogin(source)]).toEqual([shown, login]);
  });

  test.each([
    "ftp://ann:sesame@x/y",
    "https://ann:sesame@[/",
    "https://[/?sesame",
    "https://ann:sesame@x/y#z",
  ])("nor in the refusal of %s", (text) => {
    expect(() => parseSource(text, "/work")).toThrow(
      expect.objectContaining({ code: "USAGE", message: expect.not.stringContaining("sesame") }),
    );
  });
});

test("a redirect leads to https, or from http to http", () => {
  const [safe, open] = [new URL("https://a.example/x"), new URL("http://a.example/x")];
  expect(redirectTarget("/y", safe)?.href).toBe("https://a.example/y");
  expect(redirectTarget("http://a.example/x", safe)).toBeUndefined();
  expect(redirectTarget("http://b.example/x", open)?.href).toBe("http://b.example/x");
  expect(redirectTarget("https://b.example/x", open)?.href).toBe("https://b.example/x");
  for (const from of [safe, open]) expect(redirectTarget("file:///etc/passwd", from)).toBeUndefined();
});
