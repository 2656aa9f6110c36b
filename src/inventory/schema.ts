import { RUNTIME_MODES } from "../core/runtimes.ts";
import { SECRET_READERS, WORKER_LABEL } from "./connection.ts";
import { CONTAINER_NAMES } from "./containers.ts";

// JSON Schemas of inventories in YAML and of vars files, for editors.

/** A JSON Schema of draft 7, which the YAML servers of editors know best. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** A text that is filled in later. */
export const TEMPLATE: JsonSchema = { type: "string", pattern: "\\{[{%]" };

const text = (description: string, examples: readonly string[] = []): JsonSchema => ({
  description,
  type: ["string", "number", "null"],
  ...(examples.length === 0 ? {} : { examples }),
});
const path = (description: string): JsonSchema => ({ description, type: ["string", "null"] });
const port: JsonSchema = {
  description: "Port of sshd. Default: ssh_config's, else 22.",
  anyOf: [
    { type: "integer", minimum: 1, maximum: 65_535 },
    { type: "string", pattern: "^\\s*\\d+\\s*$" },
    { type: "null" },
    TEMPLATE,
  ],
};
const user = text("Login user. Default: --user, else ssh_config's, else your own name.");
const address = text("Name or address to connect to. Default: the host's name in the inventory.");
const keyFile = path("Private key to log in with. A relative path begins at the file's directory.");
const password = text("Login password: make it a !secret.");
const becomePassword = text("Password that sudo, su or doas asks for: make it a !secret.");
const sshArguments = text("Arguments of ssh, such as -o ProxyJump=bastion or -F file.");

/** The vars of a host or group that Volley itself reads. */
export const KNOWN_VARS: Readonly<Record<string, JsonSchema>> = {
  ansible_host: address,
  ansible_ssh_host: address,
  ansible_port: port,
  ansible_ssh_port: port,
  ansible_user: user,
  ansible_ssh_user: user,
  ansible_private_key_file: keyFile,
  ansible_ssh_private_key_file: keyFile,
  ansible_password: password,
  ansible_ssh_pass: password,
  ansible_ssh_password: password,
  ansible_ssh_args: sshArguments,
  ansible_ssh_common_args: sshArguments,
  ansible_ssh_extra_args: sshArguments,
  ansible_connection: {
    description: "Way to reach the host. Default: ssh.",
    anyOf: [{ enum: ["ssh", "local", ...CONTAINER_NAMES] }, { type: ["string", "null"] }],
  },
  ansible_become: {
    description: "Become another user, where the play does not say it. Default: false.",
    anyOf: [
      { type: ["boolean", "null"] },
      { enum: [0, 1, "0", "1"] },
      {
        type: "string",
        pattern: "^(?:[Yy]es|YES|[Nn]o|NO|[Tt]rue|TRUE|[Ff]alse|FALSE|[Oo]n|ON|[Oo]ff|OFF|[yYnNtTfF])$",
      },
      TEMPLATE,
    ],
  },
  ansible_become_user: text("The user to become. Default: root."),
  ansible_become_method: {
    description: "Way to become another user. Default: sudo.",
    anyOf: [{ enum: ["sudo", "doas", "su"] }, { type: ["string", "null"] }],
  },
  ansible_become_password: becomePassword,
  ansible_become_pass: becomePassword,
  ansible_become_exe: text("Program in the place of sudo, su or doas."),
  ansible_become_flags: text("Flags of that program, such as -H -S -n."),
  ansible_chroot_exe: path("Program in the place of chroot."),
  ansible_podman_executable: path("Program in the place of podman."),
  ansible_docker_extra_args: text("Further arguments of docker."),
  ansible_podman_extra_args: text("Further arguments of podman."),
  ansible_lxd_project: text("Project of LXD that the container is in."),
  ansible_incus_project: text("Project of Incus that the container is in."),
  ansible_lxd_remote: text("Server of LXD that the container is on."),
  ansible_incus_remote: text("Server of Incus that the container is on."),
  ansible_group_priority: {
    description: "Of a group: the higher number wins among groups of one depth. Default: 1.",
    anyOf: [{ type: ["integer", "null"] }, { type: "string", pattern: "^-?\\d+$" }],
  },
  volley_runtime: {
    description:
      "What to do where the host has no usable Node: send one that was fetched (default), install the package nodejs, or neither.",
    anyOf: [{ enum: [...RUNTIME_MODES] }, { type: "null" }, TEMPLATE],
  },
  volley_runtime_dir: {
    description: "Directory on the host to keep runtimes in. Default: below the home.",
    anyOf: [{ type: "string", pattern: "^/" }, { type: "null" }, TEMPLATE],
  },
  volley_persist: {
    description:
      "Time to keep the connection for the next command after its last use: 10m, 2h, seconds; false: close it. Default: --persist, else ssh_config's ControlPersist with ControlMaster.",
    anyOf: [
      { enum: [false] },
      { type: "integer", minimum: 0 },
      { type: "string", pattern: "^(?:(?:\\d+[smhdwSMHDW])+\\d*|\\d+|[Nn]o|NO|[Ff]alse|FALSE|[Oo]ff|OFF|)$" },
      { type: "null" },
      TEMPLATE,
    ],
  },
  volley_worker: {
    description:
      "Label of the workers that can reach the host, in runs by a queue (volley worker --labels). Default: default.",
    anyOf: [{ type: "string", pattern: WORKER_LABEL.source }, { type: "null" }, TEMPLATE],
  },
  volley_secrets: {
    description:
      "Machine that reads the host's secrets, in runs by a queue: with worker, the controller never knows their values. Default: controller.",
    anyOf: [{ enum: [...SECRET_READERS] }, { type: "null" }, TEMPLATE],
  },
};

const DRAFT = "http://json-schema.org/draft-07/schema#";

/** Make the schema of a vars file; `more` are vars beside {@link KNOWN_VARS}. */
export function varsSchema(more: Readonly<Record<string, JsonSchema>> = {}): JsonSchema {
  return { $schema: DRAFT, title: "Vars of a group or host", ...varsObject(more) };
}

function varsObject(more: Readonly<Record<string, JsonSchema>>): JsonSchema {
  return { type: ["object", "null"], properties: { ...KNOWN_VARS, ...more } };
}

const EXPRESSION: JsonSchema = { type: ["string", "number", "boolean"] };
const SWITCH: JsonSchema = { type: "boolean" };

/** Make the schema of an inventory in YAML; `more` are vars beside {@link KNOWN_VARS}. */
export function inventorySchema(more: Readonly<Record<string, JsonSchema>> = {}): JsonSchema {
  const of = (name: string): JsonSchema => ({ $ref: `#/definitions/${name}` });
  return {
    $schema: DRAFT,
    title: "Inventory",
    type: ["object", "null"],
    if: { type: "object", required: ["plugin"], properties: { plugin: { type: "string" } } },
    // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
    then: of("constructed"),
    else: { properties: { all: of("group") }, additionalProperties: of("group") },
    definitions: {
      group: {
        description: "A group: its hosts, its subgroups, and vars of all of them.",
        type: ["object", "null"],
        additionalProperties: false,
        properties: {
          hosts: {
            description:
              "Names of hosts, each with its vars: web1, or a range such as web[01:20] or web[a:f].",
            type: ["object", "string", "null"],
            additionalProperties: of("vars"),
          },
          children: {
            description: "Groups within this one.",
            type: ["object", "string", "null"],
            additionalProperties: of("group"),
          },
          vars: of("vars"),
        },
      },
      vars: { description: "Vars: any names and values.", ...varsObject(more) },
      constructed: {
        description: "Vars and groups computed of the hosts that earlier sources have.",
        type: "object",
        required: ["plugin"],
        additionalProperties: false,
        properties: {
          plugin: { enum: ["constructed", "ansible.builtin.constructed"] },
          strict: { description: "Refuse expressions that fail. Default: false.", ...SWITCH },
          compose: {
            description: "Vars, each with its expression.",
            type: ["object", "null"],
            additionalProperties: EXPRESSION,
          },
          groups: {
            description: "Groups, each with the condition of its hosts.",
            type: ["object", "null"],
            additionalProperties: EXPRESSION,
          },
          keyed_groups: {
            description: "Groups named by the values of an expression.",
            type: ["array", "null"],
            items: {
              type: "object",
              required: ["key"],
              additionalProperties: false,
              properties: {
                key: EXPRESSION,
                prefix: EXPRESSION,
                separator: { type: "string" },
                parent_group: { type: "string" },
                default_value: EXPRESSION,
                trailing_separator: SWITCH,
              },
            },
          },
          leading_separator: SWITCH,
          use_extra_vars: SWITCH,
          use_vars_plugins: SWITCH,
        },
      },
    },
  };
}
