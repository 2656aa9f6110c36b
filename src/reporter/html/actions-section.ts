import { count } from "../rows/amounts.ts";
import { taskTitle } from "../rows/wording.ts";
import { bySlowness, TASK_STATES, type TaskState, type TaskTimes } from "../timing/task-times.ts";
import { axis, spreadBar } from "./bars.ts";
import { type Html, html } from "./html.ts";
import { countCell, elapsedCell } from "./words.ts";

/** Rows of the table; the tasks with the least total time are left out. */
export const MAX_TASKS = 400;

/** Actions by time over all hosts, the slowest first. */
export function actionsSection(tasks: readonly TaskTimes[]): Html {
  const shown = bySlowness(tasks).slice(0, MAX_TASKS);
  const states = TASK_STATES.filter((state) => tasks.some((task) => (task.states[state] ?? 0) > 0));
  const fullMs = Math.max(1, ...shown.map(({ elapsed }) => elapsed.max));
  return html`<p>The total is over all hosts; hosts that skipped a task do not count towards its times.</p>
<div class="scroll" role="region" aria-label="Table of actions" tabindex="0">
<table class="actions" data-sortable data-found="action">
<caption class="vh">Actions by total time, with how they ended and how long they took over hosts</caption>
<thead><tr><th scope="col">Action</th><th scope="col" class="n" aria-sort="descending">Total</th><th scope="col" class="n">Median</th><th scope="col" class="n">Min</th><th scope="col" class="n">Max</th><th scope="col" class="wide" data-sort="none"><span>Min, median, max</span>${axis(fullMs)}</th><th scope="col">Slowest host</th>${states.map((state) => html`<th scope="col" class="n">${headingOf(state)}</th>`)}</tr></thead>
<tbody>
${shown.map((task) => actionRow(task, states, fullMs))}</tbody></table></div>
${tasks.length > shown.length && html`<p class="dim">${count(tasks.length - shown.length, "faster action")} not shown.</p>`}`;
}

function actionRow(task: TaskTimes, states: readonly TaskState[], fullMs: number): Html {
  const { elapsed, slowest } = task;
  const none = elapsed.count === 0;
  const ms = (value: number): number | undefined => (none ? undefined : value);
  return html`<tr><th scope="row">${taskTitle(task)}${task.nth > 1 && ` (${task.nth})`} <span class="dim">${task.action}${task.handler && ", handler"}, ${task.play}</span></th>${elapsedCell(ms(elapsed.total))}${elapsedCell(ms(elapsed.median))}${elapsedCell(ms(elapsed.min))}${elapsedCell(ms(elapsed.max))}<td class="wide">${!none && spreadBar(elapsed, fullMs)}</td><td>${slowest ?? ""}</td>${states.map((state) => countCell(task.states[state] ?? 0, state))}</tr>
`;
}

function headingOf(state: TaskState): string {
  return `${state[0]?.toUpperCase()}${state.slice(1)}`;
}
