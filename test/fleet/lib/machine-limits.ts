import { readFileSync, writeFileSync } from "node:fs";

/** Each host's systemd, journal and logind take a few inotify instances of the machine's root: 128, Linux's default, is gone after some thirty hosts. */
const neededLimits: Readonly<Record<string, number>> = {
  "/proc/sys/fs/inotify/max_user_instances": 8192,
  "/proc/sys/fs/inotify/max_user_watches": 524_288,
};

/** Raise (never lower) the kernel limits that a large fleet reaches, until the machine's next boot. */
export function raiseMachineLimits(): void {
  for (const [path, needed] of Object.entries(neededLimits)) {
    if (Number(readFileSync(path, "utf8")) < needed) writeFileSync(path, String(needed));
  }
}
