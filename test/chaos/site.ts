import { join } from "node:path";
import type { Event } from "../../src/core/events.ts";
import type { EmbeddedHost } from "../../src/embedded/options.ts";
import { makeProject, type Project, playbookText } from "../e2e/lib/project.ts";
import { linesOf } from "./rig.ts";

const mark = (name: string): string => `shell(\`echo ${name} >> \${facts.env.HOME}/marks\`)`;

/** Two plays with a barrier between them, whose every task leaves a mark when it is carried out. */
export function makeMarkedProject(parent: string): Project {
  return makeProject(parent, {
    "site.ts": playbookText(
      `{ name: "One", hosts: "all", handlers: ({ facts }) => ({ notified: ${mark("notified")} }),
        tasks: async ({ task, facts }) => {
        task("first", ${mark("first")});
        const looked = await task("look", shell(\`cat \${facts.env.HOME}/marks\`));
        if (looked.data.stdout.trim() === "first") task("second", ${mark("second")}, { notify: "notified" });
        task("directory", file({ path: \`\${facts.env.HOME}/conf\`, state: "directory", mode: 0o755 }));
        const copied = await task("copy", copy({ content: "x".repeat(20_000), dest: \`\${facts.env.HOME}/conf/copied\` }));
        if (copied.changed) task("third", ${mark("third")});
      } }`,
      `{ name: "Two", hosts: "all", tasks: async ({ task, facts }) => {
        task("template", template({ src: "t.j2", dest: \`\${facts.env.HOME}/conf/templated\` }));
        task("talk", shell("for i in 1 2 3 4 5 6 7 8; do echo line $i; done"));
        await task("fourth", ${mark("fourth")});
        task("last", ${mark("last")});
      } }`,
    ),
    "templates/t.j2": "{{ inventory_hostname }}\n",
  });
}

/** The tasks of the marked project in the order they end, handlers where they run. */
export const MARKED_TASKS = [
  "first",
  "look",
  "second",
  "directory",
  "copy",
  "third",
  "notified",
  "template",
  "talk",
  "fourth",
  "last",
] as const;

/** List the faults of a host's files and of its events. The list is empty when each task was done once. */
export function faultsOfMarked(host: EmbeddedHost, events: readonly Event[]): readonly string[] {
  const faults: string[] = [];
  const expect = (what: string, seen: readonly string[], wanted: readonly string[]): void => {
    if (seen.join() !== wanted.join()) faults.push(`${what}: ${seen.join() || "nothing"}`);
  };
  const mine = events.filter((event) => "host" in event && event.host === host.name);
  const named = (type: "task:start" | "task:end"): readonly string[] =>
    mine.flatMap((event) => (event.type === type ? [event.name] : []));
  expect("started", named("task:start"), MARKED_TASKS);
  expect("ended", named("task:end"), MARKED_TASKS);
  expect("marks", linesOf(host, "marks"), ["first", "second", "third", "notified", "fourth", "last"]);
  expect("template", linesOf(host, join("conf", "templated")), [host.name]);
  const output = mine.flatMap((event) => (event.type === "task:output" ? [event.text] : [])).join("");
  expect(
    "output",
    [output.replace(/^first\n/, "")],
    [[1, 2, 3, 4, 5, 6, 7, 8].map((line) => `line ${line}\n`).join("")],
  );
  // A process that never got its job has said hello too.
  const ordered = mine.flatMap((event) =>
    "hostSeq" in event && event.type !== "hello" ? [event.hostSeq as number] : [],
  );
  if (ordered.some((seq, index) => index > 0 && seq !== ordered[index - 1]! + 1))
    faults.push(`numbers: ${ordered.join()}`);
  return faults;
}
