import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { service_facts } from "../../../src/actions/services/service-facts.ts";
import { withTools } from "../fake-tools.ts";
import { makeSandbox, pass, type Sandbox } from "../harness.ts";

let sandbox: Sandbox;

beforeEach(() => {
  sandbox = makeSandbox();
  return () => sandbox[Symbol.dispose]();
});

const TOOLS = {
  service: "printf ' [ + ]  cron\\n [ - ]  hwclock.sh\\n [ ? ]  odd\\n'",
  systemctl: `case $1 in
list-units) cat <<'END'
● auditd.service        not-found inactive dead    auditd.service
  cron.service          loaded    active   running Regular background program processing daemon
× bad.service           loaded    failed   failed  bad.service
  getty@tty1.service    loaded    inactive dead    Getty on tty1
  one.service           loaded    active   exited  running once
● gone.service          masked    inactive dead    gone.service
END
;;
list-unit-files) cat <<'END'
bad.service             static          -
cron.service            enabled         enabled
debug-shell.service     disabled        disabled
getty@.service          enabled         enabled
gone.service            masked          enabled
one.service             static          -
sshd.service            alias           -
END
;;
show) [ "$*" = "show --property=ActiveState -- debug-shell.service sshd.service" ] && printf 'ActiveState=inactive\\n\\nActiveState=active\\n';;
esac`,
};

describe("service_facts", () => {
  it("describes the services of systemd and the init scripts", async () => {
    for (const path of ["run/systemd/system", "etc/init.d"])
      mkdirSync(join(sandbox.root, path), { recursive: true });
    const { system } = withTools(sandbox, TOOLS);
    const { state, data } = await pass(service_facts({}), system, sandbox.context({ check: true }));
    expect(state).toBe("unchanged");
    const services = data?.ansible_facts.services ?? {};
    const short = Object.values(services).map((service) =>
      [service.name, service.source, service.state, service.status].join(" ").trim(),
    );
    expect(short.sort()).toEqual([
      "auditd.service systemd stopped not-found",
      "bad.service systemd stopped failed",
      "cron sysv running",
      "cron.service systemd running enabled",
      "debug-shell.service systemd inactive disabled",
      "getty@.service systemd unknown enabled",
      "getty@tty1.service systemd stopped inactive",
      "gone.service systemd stopped masked",
      "hwclock.sh sysv stopped",
      "odd sysv stopped",
      "one.service systemd stopped static",
      "sshd.service systemd active alias",
    ]);
    expect(services["cron.service"]?.name).toBe("cron.service");
  });

  it("is empty where nothing manages services", async () => {
    const { system } = withTools(sandbox, { service: null, systemctl: null });
    const { data } = await pass(service_facts({}), system, sandbox.context());
    expect(data).toEqual({ ansible_facts: { services: {} } });
  });
});
