import { createHash } from "node:crypto";
import { expect, it } from "vitest";
import type { Event } from "../../../src/core/events.ts";
import { renderRunPage } from "../../../src/reporter/html/run-page.ts";
import { CONTROL } from "../lib/play.ts";
import { hostNames } from "../lib/simulate.ts";
import { fleetRun } from "./fleet-run.ts";
import { HOSTILE_MARKUP, hostileRun } from "./hostile-run.ts";

const MIB = 1_048_576;
const large = renderRunPage(fleetRun({ hosts: hostNames(200), tasks: 88 }), { generator: "volley 0.1.0" });

/** Return every part of a page that stands between two texts. */
function between(page: string, start: string, end: string): readonly string[] {
  return page
    .split(start)
    .slice(1)
    .map((part) => part.slice(0, part.indexOf(end)));
}

it("is under 1 MiB for 200 hosts and 88 actions, and has all of them", () => {
  expect(Buffer.byteLength(large)).toBeLessThan(MIB);
  expect(between(large, "<tr data-host=", ">")).toHaveLength(200);
  expect(between(large, "<tbody>", "</tbody>").at(-1)?.split("<tr>")).toHaveLength(89);
  const data = JSON.parse(between(large, 'id="data">', "</script>")[0] ?? "");
  expect(data.tasks).toHaveLength(88);
  const [letters, elapsed] = data.hosts.web001;
  expect(letters).toHaveLength(88);
  expect(elapsed).toHaveLength(88);
  const [broken] = data.hosts.web006;
  expect(broken).toMatch(/^[ucs]{60}f\.{27}$/);
});

it("loads nothing, and allows only its own style and script", () => {
  expect(large).not.toMatch(/<(?:link|img|iframe|object|embed|base|form|use|image)\b/i);
  expect(large).not.toMatch(/\s(?:src|srcset|style|on\w+)\s*=\s*["']/i);
  expect(large).not.toMatch(/@import|url\(/);
  for (const target of between(large, 'href="', '"')) expect(target).toMatch(/^#/);
  const policy = between(large, 'http-equiv="Content-Security-Policy" content="', '"')[0] ?? "";
  expect(policy).toContain("default-src &#39;none&#39;");
  expect(policy).not.toContain("unsafe");
  for (const [kind, text] of [
    ["style", between(large, "<style>", "</style>")[0]],
    ["script", between(large, "<script>", "</script>")[0]],
  ]) {
    const hash = createHash("sha256")
      .update(text ?? "")
      .digest("base64");
    expect(policy).toContain(`${kind}-src &#39;sha256-${hash}&#39;`);
  }
});

it("has headings in order, and names for everything that has a role", () => {
  const levels = [...large.matchAll(/<h(\d)/g)].map((match) => Number(match[1]));
  expect(levels[0]).toBe(1);
  expect(levels.filter((level) => level === 1)).toHaveLength(1);
  for (const [index, level] of levels.entries())
    expect(level - (levels[index - 1] ?? 0)).toBeLessThanOrEqual(1);
  const ids = between(large, ' id="', '"');
  expect(new Set(ids).size).toBe(ids.length);
  for (const target of between(large, 'aria-labelledby="', '"')) expect(ids).toContain(target);
  for (const bar of between(large, '<svg class="bar" role="img"', "</svg>"))
    expect(bar).toMatch(/<title>[^<]+<\/title>/);
});

it("shows hostile names, output, differences and errors as text", () => {
  const page = renderRunPage(hostileRun());
  // Ends of lines are its own.
  expect(page.replaceAll("\n", "")).not.toMatch(CONTROL);
  expect(page).not.toContain("<script>window");
  expect(page).not.toContain("<img");
  expect(between(page, "<script", ">")).toEqual([' type="application/json" id="data"', ""]);
  expect(page).toContain("&lt;script&gt;window.pwned=1&lt;/script&gt;");
  const data = JSON.parse(between(page, 'id="data">', "</script>")[0] ?? "");
  expect(Object.keys(data.hosts)).toHaveLength(2);
  expect(JSON.stringify(data)).toContain(HOSTILE_MARKUP.slice(0, 20));
});

it("stays under 1 MiB when every host says much, and differs from all others", () => {
  const hosts = hostNames(200);
  const much = "what a line may hold, and more of it, again and again\n".repeat(400);
  let nth = 0;
  const events = fleetRun({ hosts }).map((event): Event => {
    if (event.type === "task:output") return { ...event, text: much };
    if (event.type !== "task:end") return event;
    nth++;
    if (event.result.state === "failed") {
      const error = { code: "ACTION_FAILED", message: `${nth} ${much}`, stack: much } as const;
      return {
        ...event,
        result: { ...event.result, error, diff: [{ path: `/${nth}`, before: much, after: "" }] },
      };
    }
    if (event.result.state !== "changed") return event;
    return {
      ...event,
      result: { ...event.result, diff: [{ path: `/${nth}`, before: "", after: `${nth}\n${much}` }] },
    };
  });
  const page = renderRunPage(events);
  expect(Buffer.byteLength(page)).toBeLessThan(MIB);
  expect(page).toMatch(/more differences not shown/);
  expect(page).toMatch(/the last 200 lines/);
});

it("shows the hosts that matter of a fleet that is too large for a page", () => {
  const hosts = hostNames(900);
  const page = renderRunPage(fleetRun({ hosts, tasks: 12 }));
  expect(page).toContain("400 of 900 hosts are shown");
  expect(page).toContain('data-host="web041"');
  expect(Buffer.byteLength(page)).toBeLessThan(MIB);
});

it("says of a run without an end that it has none", () => {
  const events = fleetRun({ hosts: hostNames(3) });
  const cut = events.slice(0, 300);
  expect(renderRunPage(cut)).toContain("The log of this run was cut off before its end.");
  expect(renderRunPage(cut, { goingOn: true })).toContain("This run is still going on.");
  expect(renderRunPage(cut)).toContain("not ended");
  expect(renderRunPage(events)).not.toContain("not ended");
});
