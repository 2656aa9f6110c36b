import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { readBanner } from "./banner.ts";
import { freezeControlGroup, makeControlGroup, removeControlGroup } from "./cgroup.ts";
import { type CommandOptions, type CommandResult, runCommand } from "./command.ts";
import { type ContainerOptions, rebootExitCode, startContainer } from "./container.ts";
import type { HostIdentity } from "./host-files.ts";
import { containerInit } from "./process-table.ts";

/** All a host needs to be started again and again: its identity, its root, and how to reach it. */
interface HostSetup extends HostIdentity, Omit<ContainerOptions, "hostName" | "controlGroup"> {
  /** The control group's name; its folders are made anew at each start. */
  readonly controlGroupName: string;
  /** `ssh` and its options, without user, address and command. */
  readonly sshCommand: readonly [string, ...string[]];
}

/** A Debian host under a systemd of its own, from power on to power off, as often as wanted. */
export class FleetHost {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  /** Its root as seen from here: read any file of it, but not what is on its tmpfs (/run, /tmp, /proc). */
  readonly root: string;
  /** How long the last start took until sshd answered and systemd was done, in milliseconds. */
  bootMs = 0;
  /** How often it came up: 1 after the first start, one more for each reboot or start. */
  bootCount = 0;
  readonly #setup: HostSetup;
  #container: ChildProcess | undefined;
  #mayReboot = false;

  constructor(setup: HostSetup) {
    this.#setup = setup;
    this.name = setup.name;
    this.address = setup.address;
    this.port = setup.port;
    this.root = setup.root;
  }

  /** The pid, on this machine, of its init; undefined when it is off. */
  get pid(): number | undefined {
    const nspawnPid = this.#container?.pid;
    return nspawnPid === undefined ? undefined : containerInit(nspawnPid);
  }

  /** True while the host has power: from start until it is stopped, killed, or powers itself off. */
  get running(): boolean {
    return this.#container !== undefined;
  }

  /** Power on, and wait until sshd answers and systemd is done; throws with its console when it is not within `timeoutMs`. */
  async start(options: { readonly timeoutMs?: number; readonly signal?: AbortSignal } = {}): Promise<void> {
    if (this.#container) throw new Error(`${this.name} is running already`);
    this.#powerOn();
    await this.waitUntilUp(this.bootCount, options);
  }

  /** Run a program as its root, not through sshd; `input` goes to its stdin. */
  exec(argv: readonly [string, ...string[]], options: CommandOptions = {}): Promise<CommandResult> {
    const pid = this.pid;
    if (pid === undefined) return Promise.reject(new Error(`${this.name} is not running`));
    const env = {
      PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      HOME: "/root",
      USER: "root",
      LOGNAME: "root",
      LC_ALL: "C.UTF-8",
    };
    const enter = ["nsenter", `--target=${pid}`, "--mount", "--uts", "--ipc", "--pid", "--cgroup"] as const;
    return runCommand([...enter, "--", ...argv], { env, ...options });
  }

  /** Run a shell command as one of its users (default `deploy`) through this machine's `ssh`. */
  ssh(command: string, options: CommandOptions & { readonly user?: string } = {}): Promise<CommandResult> {
    const { user = "deploy", ...rest } = options;
    const { sshCommand, address, port } = this.#setup;
    return runCommand([...sshCommand, "-p", String(port), `${user}@${address}`, "--", command], rest);
  }

  /** Pull the plug: every process of it ends at once, nothing is said goodbye to. */
  async kill(): Promise<void> {
    const container = this.#container;
    if (!container) return;
    this.#mayReboot = false;
    const exited = this.#exited(container);
    const target = this.pid ?? container.pid;
    if (target !== undefined) process.kill(target, "SIGKILL");
    await exited;
  }

  /** Shut it down in order. Its root stays, and `start` boots it again. */
  async stop(): Promise<void> {
    const container = this.#container;
    if (!container) return;
    this.#mayReboot = false;
    const exited = this.#exited(container);
    await this.exec(["systemctl", "poweroff"]);
    await exited;
  }

  /** Ask it to reboot, as `systemctl reboot` does, and wait until it is up again. */
  async reboot(options: { readonly timeoutMs?: number; readonly signal?: AbortSignal } = {}): Promise<void> {
    const next = this.bootCount + 1;
    await this.exec(["systemctl", "reboot"]);
    await this.waitUntilUp(next, options);
  }

  /** Hang it: its processes stop, its connections stay open and silent. Needs cgroup v2. */
  freeze(): void {
    freezeControlGroup(this.#setup.controlGroupName, true);
  }

  /** Let a frozen host go on. */
  thaw(): void {
    freezeControlGroup(this.#setup.controlGroupName, false);
  }

  /**
   * Wait until it has come up for the `bootCount`th time (see there), for a host that reboots by itself;
   * throws with its console after `timeoutMs` (60 s by default) or when it stays off.
   */
  async waitUntilUp(
    bootCount: number,
    options: { readonly timeoutMs?: number; readonly signal?: AbortSignal } = {},
  ): Promise<void> {
    const { timeoutMs = 60_000, signal } = options;
    const startedAt = Date.now();
    while (Date.now() - startedAt < timeoutMs) {
      signal?.throwIfAborted();
      if (!this.running) throw new Error(`${this.name} went off while booting\n${this.console()}`);
      if (this.bootCount >= bootCount && (await this.#isUp())) {
        this.bootMs = Date.now() - startedAt;
        return;
      }
      await delay(50, undefined, signal ? { signal } : {});
    }
    throw new Error(`${this.name} is not up after ${timeoutMs} ms\n${this.console()}`);
  }

  /** The end of what it wrote to its console. */
  console(): string {
    return readFileSync(this.#setup.consolePath, "utf8").slice(-4000);
  }

  async #isUp(): Promise<boolean> {
    if (this.pid === undefined) return false;
    const banner = await readBanner(this.address, this.port);
    if (!banner.startsWith("SSH-2.0-")) return false;
    const state = await this.exec(["systemctl", "is-system-running"]).catch(() => undefined);
    return state !== undefined && /^(running|degraded)$/.test(state.stdout.trim());
  }

  #powerOn(): void {
    // The control group that a killed container leaves may still be frozen.
    removeControlGroup(this.#setup.controlGroupName);
    const controlGroup = makeControlGroup(this.#setup.controlGroupName);
    const container = startContainer({ ...this.#setup, hostName: this.name, controlGroup });
    this.#container = container;
    this.#mayReboot = true;
    this.bootCount++;
    container.once("error", () => {
      this.#container = undefined;
    });
    container.once("exit", (code) => {
      this.#container = undefined;
      if (code === rebootExitCode && this.#mayReboot) this.#powerOn();
    });
  }

  async #exited(container: ChildProcess): Promise<void> {
    if (container.exitCode === null && container.signalCode === null) await once(container, "exit");
  }
}
