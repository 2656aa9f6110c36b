import { VolleyError } from "../core/errors.ts";
import type { Playbook } from "../core/playbook.ts";
import type { GuestRoles } from "../core/program.ts";
import type { AnsibleGuest, AnsibleGuests, HostHandlers, IncludedRoles, PlayGuests } from "./guest-types.ts";
import type { AnsibleGuestHost } from "./program.ts";

/** The roles in Ansible's YAML of a play in TypeScript: the first that a role includes opens them. */
export class Included implements PlayGuests, IncludedRoles {
  readonly #roles: GuestRoles | undefined;
  readonly #makeHost: (around: HostHandlers) => AnsibleGuestHost;
  #around: HostHandlers | undefined;
  #opened: AnsibleGuests | undefined;

  constructor({ guests }: Pick<Playbook, "guests">, makeHost: (around: HostHandlers) => AnsibleGuestHost) {
    this.#roles = guests;
    this.#makeHost = makeHost;
  }

  get opened(): AnsibleGuests | undefined {
    return this.#opened;
  }

  declare(guest: AnsibleGuest): void {
    this.#opened ??= this.#open(guest);
    this.#opened.declare(guest);
  }

  meet(around: HostHandlers): void {
    this.#around = around;
  }

  #open({ use }: AnsibleGuest): AnsibleGuests {
    if (this.#roles === undefined) throw isMissing(use.role.ansible?.name ?? use.role.name);
    const self = this;
    const around: HostHandlers = {
      notify: (name) => self.#around?.notify(name) ?? false,
      get handlers() {
        return self.#around?.handlers ?? [];
      },
    };
    // Core, where playbooks are defined, knows nothing of the engine.
    return (this.#roles.open as (host: AnsibleGuestHost) => AnsibleGuests)(this.#makeHost(around));
  }
}

/** The error for a role in YAML that the build has not found in the playbook. */
export function isMissing(name: string): VolleyError {
  return new VolleyError("PLAYBOOK_INVALID", `the role "${name}" is not in the bundle`, {
    hint: 'the build looks for names that stand in the call: write ansibleRole("NAME")',
  });
}
