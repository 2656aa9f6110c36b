import type { ChildProcess } from "node:child_process";
import { playbookText } from "./project.ts";

const TASKS = [0, 1, 2];
const PLAYS = ["First", "Second"];

/** Each task appends a line, so a task done twice shows. Two plays, so that a controller must send `continue`. */
export const SLOW = playbookText(
  ...PLAYS.map(
    (name) => `{ name: "${name}", hosts: "all", tasks: ({ task }) => {
  for (const index of ${JSON.stringify(TASKS)}) task("${name} " + index, shell("sleep 0.3; echo ${name} " + index + " >> ~/done"));
} }`,
  ),
);

/** The names of the tasks of {@link SLOW}, which are the lines of `~/done`. */
export const SLOW_TASKS = PLAYS.flatMap((play) => TASKS.map((index) => `${play} ${index}`));

/** Kill a controller of {@link SLOW}, which writes events as JSON, in the midst of the first play. */
export function killInFirstPlay(controller: ChildProcess): void {
  let seen = "";
  controller.stdout!.on("data", (text: string) => {
    seen += text;
    if (seen.includes('"name":"First 1"')) controller.kill("SIGKILL");
  });
}
