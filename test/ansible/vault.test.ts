import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { builtCli, type CliEnd } from "../e2e/lib/cli.ts";
import { volleyHere } from "../e2e/lib/here.ts";
import { makeProject, type Project, scratchDirectory } from "../e2e/lib/project.ts";
import { inYaml, VAULT } from "../vars/secrets/vault-fixtures.ts";

const scratch = scratchDirectory();
beforeAll(async () => void (await builtCli()), 600_000);

// Made with ansible-vault of ansible-core 2.14; the password is `correct horse`.

/** `greeting: hello-{{ who }}-secret` */
const GREETING = `$ANSIBLE_VAULT;1.1;AES256
38356362623261303930363335666532653331323439616138306535653238623534386162666166
3736323764376438386135303762353131326330613631350a353336316166363635313663363836
62306366306338623462373461353263333366626234313735313630373463313563666332363030
6339613036653136300a316331373937313763663534613834626538343462383766633062323136
37333163666434633939356565386539653635376464646634363266396234613830363039626433
6239653138376264303239333932366366383331386262636365
`;
/** `home_of: "{{ lookup('env', 'VAULTED_TEST_WORD') }}-led"`, and a greeting. */
const LED = `$ANSIBLE_VAULT;1.1;AES256
62343166323738643138363938323936393437303134623437373730663333663565366438636232
3833396665363130393639646436623163623063643239350a313430613036383861666365356633
32373662666435666463303732373332653765326435323438303031656438316531313237343934
3939396337383033660a353264303963353135666132626464343966333365353637653835616461
38633161353931326632313865326261633332633536366431613964346661343264663238613734
65636331356534363465323662653261306532343564616237643761393166356232336238663130
34373964623337366465303930643431303166653562303331653935656232316564653533333036
61346639343764633439393334356138373439663665663663376139663563323634613363313761
6138
`;
/** `{{ 1 + 1 }}-braces` */
const BRACES = `$ANSIBLE_VAULT;1.1;AES256
33346335653362653963393465643331333030343835643432316437343830353664346161396631
6131656561346438373430323936646434643030346631300a356265666236663261653330366131
37653731343830373665646338363533386636396465333532663836346638643038343636346163
6666656139303634340a623638363065336237376665333831353163383837306438613161363238
34643066383064353263393235363532646266666632346337363331656533336532
`;

/** A project whose tasks write what they know to `out`. */
function project(files: Readonly<Record<string, string>>): Project {
  return makeProject(scratch(), { password: "correct horse\n", prod: "other pass\n", ...files });
}

async function run(at: Project, ...args: readonly string[]): Promise<CliEnd> {
  return await volleyHere(["run", "site.yml", "-i", "web1,", "-c", "local", ...args], {
    cwd: at.directory,
    env: {
      ANSIBLE_CONFIG: "",
      ANSIBLE_VAULT_PASSWORD_FILE: "",
      VAULTED_TEST_WORD: "word-of-controller",
    },
  });
}

/** A task that writes a text beside the playbook. */
const write = (value: string, name = "out"): string =>
  `    - copy: {content: "${value}", dest: "{{ playbook_dir }}/${name}"}\n`;

const OPEN = ["--vault-password-file", "password"] as const;

function out(at: Project, name = "out"): string | undefined {
  return existsSync(at.path(name)) ? readFileSync(at.path(name), "utf8") : undefined;
}

/** The bytes of all files below a directory, as Latin-1. */
function textsBelow(directory: string): string {
  return readdirSync(directory, { recursive: true, encoding: "utf8" })
    .map((name) => join(directory, name))
    .filter((file) => statSync(file).isFile())
    .map((file) => readFileSync(file, "latin1"))
    .join("\n");
}

const play = (rest: string): string => `- hosts: all\n  gather_facts: false\n${rest}`;

test("values, vars files of plays and vars of roles are opened, and what they hold is masked", async () => {
  const at = project({
    "site.yml": play(
      `  vars:\n    who: me\n${inYaml("inline", VAULT.inline, "    ")}${inYaml("braces", BRACES, "    ")}` +
        `  vars_files: [greeting.yml]\n  roles: [web]\n`,
    ),
    "greeting.yml": GREETING,
    "roles/web/vars/main.yml": VAULT.whole,
    "roles/web/tasks/main.yml": `    - debug: {msg: "{{ inline }} {{ db_password }}"}\n${write(
      "{{ inline }} {{ braces }} {{ greeting }} {{ db_password }} {{ db_port + 1 }} {{ nested[0].key }} {{ flag }}",
    )}`,
  });
  const end = await run(at, "-v", ...OPEN);
  expect(end).toMatchObject({ code: 0, stderr: "" });
  expect(out(at)).toBe(
    "inline-s3cret é😀 {{ 1 + 1 }}-braces hello-me-secret hunter2-whole 5433 deep-secret-value True",
  );
  expect(end.stdout).toContain("web : debug");
  expect(end.stdout).not.toMatch(/s3cret|hunter2/);
});

test("neither the cache of compiled playbooks nor the bundle of a run holds a value in clear", async () => {
  const at = project({
    "site.yml": play(
      `  vars:\n${inYaml("inline", VAULT.inline, "    ")}  vars_files: [secret.yml]\n  tasks:\n${write("{{ inline }} {{ db_password }}")}`,
    ),
    "secret.yml": VAULT.whole,
  });
  expect(await run(at, ...OPEN)).toMatchObject({ code: 0, stderr: "" });
  expect(out(at)).toBe("inline-s3cret é😀 hunter2-whole");
  const cached = textsBelow(join(scratch(), "cache"));
  expect(cached).toContain("$ANSIBLE_VAULT;1.1");
  expect(cached).not.toMatch(/inline-s3cret|hunter2-whole|db_password: hunter2/);
});

test("without a password, and with a wrong one, a value fails the task that asks for it, and a file the run", async () => {
  const at = project({
    "site.yml": play(
      `  vars:\n${inYaml("inline", VAULT.inline, "    ")}    list: [1, "{{ inline }}"]\n` +
        `  tasks:\n${write("before", "before")}${write("{{ list }}")}`,
    ),
    wrong: "nope\n",
  });
  const none = await run(at);
  expect(none.code).toBe(2);
  expect(none.stdout).toMatch(/fatal: [\s\S]*site\.yml:4: .*no password was given/);
  expect(out(at, "before")).toBe("before");
  const wrong = await run(at, "--vault-password-file", "wrong");
  expect(wrong.code).toBe(2);
  expect(wrong.stdout).toMatch(/fatal: [\s\S]*site\.yml:4: .*no password that was given opens it/);
  at.write("site.yml", play(`  vars_files: [secret.yml]\n  tasks:\n${write("{{ db_password }}")}`));
  at.write("secret.yml", VAULT.whole);
  const file = await run(at);
  expect(file).toMatchObject({ code: 1, stdout: "" });
  expect(file.stderr).toMatch(/^ERROR! .*no password was given[\s\S]*at secret\.yml\n/);
  expect(out(at)).toBeUndefined();
});

test("a file of vars that no task asks for may stay closed; the task that asks for it fails", async () => {
  const at = project({
    "site.yml": play("  roles: [web]\n"),
    "roles/web/vars/test.yml": VAULT.whole,
    "roles/web/vars/prod.yml": VAULT.wholeOfProd,
    "roles/web/tasks/main.yml": `    - include_vars: "{{ stage }}.yml"\n${write("{{ db_password }}")}`,
  });
  expect(await run(at, "-e", "stage=test", ...OPEN)).toMatchObject({ code: 0, stderr: "" });
  expect(out(at)).toBe("hunter2-whole");
  const end = await run(at, "-e", "stage=prod", ...OPEN);
  expect(end.code).toBe(2);
  expect(end.stdout).toMatch(
    /include_vars[\s\S]*roles\/web\/vars\/prod\.yml: .*vault id prod, and no password/,
  );
  const both = await run(at, "-e", "stage=prod", ...OPEN, "--vault-id", "prod@prod");
  expect(both).toMatchObject({ code: 0, stderr: "" });
});

test("a carried bundle holds the values only on request; without them it says which is missing", async () => {
  const at = project({
    "site.yml": play(
      `  vars_files: [secret.yml]\n  tasks:\n    - shell: "[ '{{ db_password }}' = hunter2-whole ]"\n`,
    ),
    "secret.yml": VAULT.whole,
  });
  const bundle = async (...args: readonly string[]): Promise<CliEnd> => {
    const made = await volleyHere(["bundle", "site.yml", "-i", "web1,", "-o", "site.run", ...args], {
      cwd: at.directory,
      env: { ANSIBLE_CONFIG: "", ANSIBLE_VAULT_PASSWORD_FILE: "" },
    });
    expect(made).toMatchObject({ code: 0, stderr: "" });
    const { status, stdout, stderr } = spawnSync("sh", [at.path("site.run"), "--local", "web1"], {
      encoding: "utf8",
    });
    return { code: status, stdout, stderr };
  };
  const without = await bundle();
  expect(without.code).toBe(2);
  expect(without.stdout + without.stderr).toMatch(
    /secret\.yml is encrypted with Ansible Vault.*--with-secrets/,
  );
  const held = await bundle("--with-secrets", ...OPEN);
  expect(held).toMatchObject({ code: 0, stderr: "" });
  expect(held.stdout).not.toContain("hunter2");
});

test("an encrypted file that looks something up on the controller has the play carried out from there", async () => {
  const at = project({
    "site.yml": play(`  vars_files: [led.yml]\n  tasks:\n${write("{{ home_of }}")}`),
    "led.yml": LED,
  });
  expect(await run(at, ...OPEN)).toMatchObject({ code: 0, stderr: "" });
  expect(out(at)).toBe("word-of-controller-led");
});

test("an encrypted file of tasks is refused in one line", async () => {
  const at = project({
    "site.yml": play("  tasks:\n    - import_tasks: more.yml\n"),
    "more.yml": VAULT.whole,
  });
  const end = await run(at, ...OPEN);
  expect(end).toMatchObject({ code: 1, stdout: "" });
  expect(end.stderr).toMatch(
    /^ERROR! .*encrypted with Ansible Vault: only files of vars.*\n\nat more\.yml:1\n/,
  );
});
