/** The exports for playbooks, roles and inventories. All of them can run on a host. */

export * from "./actions/access/index.ts";
export * from "./actions/accounts/index.ts";
export * from "./actions/ansible/index.ts";
export * from "./actions/debian/index.ts";
export * from "./actions/edit/index.ts";
export * from "./actions/files/index.ts";
export * from "./actions/flow/index.ts";
export * from "./actions/mysql/index.ts";
export * from "./actions/network/index.ts";
export * from "./actions/packages/index.ts";
export * from "./actions/pki/index.ts";
export * from "./actions/postgresql/index.ts";
export * from "./actions/rpm/index.ts";
export * from "./actions/services/index.ts";
export * from "./actions/source/index.ts";
export * from "./actions/storage/index.ts";
export * from "./actions/system/index.ts";
export * from "./playbook-api.ts";
