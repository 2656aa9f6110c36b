import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { fleetStarter, ofType, provision } from "../lib/drive.ts";
import { makeProject, scratchDirectory } from "../lib/project.ts";

// Files that are encrypted with Ansible Vault, sent to hosts in clear.

const scratch = scratchDirectory();
const startFleet = fleetStarter();

// Made with ansible-vault of ansible-core 2.14; the password is `correct horse`.

/** `clear {{ inventory_hostname }} {% include "part.j2" %}` */
const TEMPLATE = `$ANSIBLE_VAULT;1.1;AES256
33376334333434646466653137653063343236383665376366396530626439306533353163343936
3733313038643564656134613434663638383438383433360a316265623633333436396631326337
33343331623430646338356466643133393231356665616538633831636339616339636138386635
3937613266613636350a623562663163633566613231383963656134663937386530613634653966
63363935333161363766303635663861373037623266663637663634303432353137303635616633
65656337343531383935393162383564363864363237376134656436333335353338353039636637
373231333765383666363036663765613662
`;
/** `part of it` */
const PART = `$ANSIBLE_VAULT;1.1;AES256
63653066333035316662323134663362373963653337643730373732393464316661366431343238
6539616233323338633364333733326461386230386537360a613966306130353531373966343833
32366139636630633336333866626566393134643336383764363231313664613766333862343864
6535383363316465340a336332323763323635393137303435653133653834663039333461353165
6363
`;
/** Bytes that are no text: `bin`, 255, 0, 254, ` end`. */
const BYTES = `$ANSIBLE_VAULT;1.1;AES256
66373732623839353663666436353631353061383332636233346139376164666233316233343261
3438306666633664633937386135376434303163653739320a633465326231653263636265363637
38636666356630636235316236396639343437383232356135393930643733646163356636653164
3932393238306362380a313131323536316465336638356434363633653038373933343336613633
6335
`;
/** A script that prints `ran` and its argument. */
const SCRIPT = `$ANSIBLE_VAULT;1.1;AES256
32323331376430636135616636353632393339666261326264376535363034396538393838613339
6463626439643235623662363062353537323764353766340a313333383162646133616138666539
32616130623939623338636139616264333865373365623264393164303564333635366665393935
3936613735333336300a373663623765306365626166373238333630306264656166623336646639
64346631613334346266653938613464326138613061653863373834393832623435
`;

const FILES = {
  password: "correct horse\n",
  "files/bytes": BYTES,
  "files/tree/plain": "plain\n",
  "files/tree/sub/bytes": BYTES,
  "files/script.sh": SCRIPT,
  "templates/main.j2": TEMPLATE,
  "templates/part.j2": PART,
  "site.yml": `- hosts: web01
  gather_facts: false
  tasks:
    - {copy: {src: "{{ item }}", dest: "~/"}, loop: [bytes, tree]}
    - {copy: {src: bytes, dest: "~/"}, register: again}
    - {copy: {src: bytes, dest: "~/sealed", decrypt: false}}
    - {assemble: {src: tree/sub, dest: "~/assembled", remote_src: false}}
    - {template: {src: main.j2, dest: "~/rendered"}}
    - {script: script.sh now, register: ran}
    - {assert: {that: [again is not changed, "ran.stdout_lines == ['ran now']"]}}
`,
};

const CLEAR = Buffer.from("bin\xff\x00\xfe end", "latin1");

test("modules send encrypted files in clear, unless they are not to", async () => {
  const fleet = await startFleet({ count: 1 });
  const project = makeProject(scratch(), FILES);
  const { events, summary } = await provision(project, fleet, {
    playbook: "site.yml",
    diff: true,
    secrets: { vaultPasswordFiles: [project.path("password")] },
  });
  const failed = ofType(events, "task:end").filter(({ result }) => result.state === "failed");
  expect(failed.map(({ result }) => result.error?.message)).toEqual([]);
  expect(summary).toMatchObject({ exitCode: 0 });
  const read = (name: string): Buffer => readFileSync(join(fleet.hosts[0]!.home, name));
  expect(read("bytes")).toEqual(CLEAR);
  expect(read("tree/sub/bytes")).toEqual(CLEAR);
  expect(read("tree/plain").toString()).toBe("plain\n");
  expect(read("assembled")).toEqual(CLEAR);
  expect(read("sealed").toString()).toBe(BYTES);
  expect(read("rendered").toString()).toBe("clear web01 part of it\n");
  // Nothing of it stays in clear on the controller, or in what is told of the run.
  const told = JSON.stringify(events);
  for (const text of ["part of it", "bin\u00ff"]) expect(told).not.toContain(text);
  const cache = process.env.XDG_CACHE_HOME!;
  const kept = existsSync(cache) ? readdirSync(cache, { recursive: true, withFileTypes: true }) : [];
  for (const each of kept)
    if (each.isFile()) expect(readFileSync(join(each.parentPath, each.name)).includes(CLEAR)).toBe(false);
});

test("without a password, and on a host by itself, the task that needs the file fails", async () => {
  const fleet = await startFleet({ count: 1 });
  const project = makeProject(scratch(), FILES);
  const run = async (via: "auto" | "bundle") => {
    const { events } = await provision(project, fleet, { playbook: "site.yml", via });
    return ofType(events, "task:end").find(({ result }) => result.state === "failed")?.result.error;
  };
  expect(await run("auto")).toMatchObject({
    message: expect.stringContaining("A vault password or secret must be specified to decrypt"),
  });
  expect(await run("bundle")).toMatchObject({
    message: expect.stringContaining("files/bytes is encrypted with Ansible Vault"),
  });
  expect(existsSync(join(fleet.hosts[0]!.home, "bytes"))).toBe(false);
});
