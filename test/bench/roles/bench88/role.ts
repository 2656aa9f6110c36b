import {
  type ActionCall,
  apt,
  blockinfile,
  command,
  copy,
  defineRole,
  file,
  systemd,
  template,
  user,
} from "volley";
import workload from "./workload.json" with { type: "json" };

type Make = (parameters: never) => ActionCall;

const ACTIONS: Readonly<Record<string, Make>> = {
  file: file as Make,
  copy_content: copy as Make,
  copy_src: copy as Make,
  template: template as Make,
  blockinfile: blockinfile as Make,
  command: command as Make,
  user: user as Make,
  systemd: systemd as Make,
  apt: apt as Make,
  skipped: command as Make,
};

/** The 88 actions that speed is measured on: one workload for every tool. */
export default defineRole({
  name: "bench88",
  tasks({ task }) {
    for (const [index, [kind, parameters]] of workload.actions.entries()) {
      task(`${index} ${kind as string}`, ACTIONS[kind as string]!(parameters as never), {
        vars: workload.vars,
        ...(kind === "skipped" ? { when: () => false } : {}),
      });
    }
  },
});
