/**
 * Preloaded into a worker's real process (`node --require`): kills the process with SIGKILL after the effect of a step
 * and before Temporal hears of it, once for each step over all processes, or as often as is asked. The steps are the
 * activities, by name, and what workflows command in one task, by workflow and kind of command; a process may die of
 * several at once.
 */
const { closeSync, existsSync, openSync } = require('node:fs');
const { join } = require('node:path');
const { coresdk } = require('@temporalio/proto');
const { Worker } = require('@temporalio/worker');
const worker = require('../../dist/workers/worker.js');

/** Folder with a file for each step that a process died at. */
const folder = process.env.DOMOVOY_TEST_DEATHS;
/** How often they die at each step. */
const timesEach = Number(process.env.DOMOVOY_TEST_DEATHS_EACH);
/** Folder with a file for each sale that the test takes back, and for each vehicle that may pass again by that. */
const reversals = process.env.DOMOVOY_TEST_REVERSALS;
/** Only these are killed at: schedules of the worker run others beside them. */
const activityNames = new Set(process.env.DOMOVOY_TEST_ACTIVITIES.split(','));
/** `type command` */
const commandNames = new Set(process.env.DOMOVOY_TEST_COMMANDS.split(','));
/** A step that did not do anything yet is done again; whoever dies after it dies for nothing. */
const EFFECT = {
  askHolder: (answer) => answer === 'deleted',
  askErasedHolder: (answer) => answer === 'gone',
  concludeDeletion: (isOver) => isOver,
  eraseRows: (isDone) => isDone,
  takeSaleEffect: (state) => state !== 'scheduled',
  searchEverywhere: ({ found }) => found.length === 0,
};

/** What is done for a reversal are steps of their own. */
const stepOf = (name, id) => (id !== undefined && existsSync(join(reversals, id)) ? `${name} of a reversal` : name);

/** Whether somebody has yet to die at the step; who asks does. */
function isDue(step) {
  for (let time = 1; time <= timesEach; time += 1) {
    try {
      closeSync(openSync(join(folder, `${step}, death ${time}`), 'wx'));
      return true;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
  }
  return false;
}

let isDying = false;
/**
 * What was done is told to nobody any more. Other steps may join for a moment: fewer processes have to be started.
 *
 * @returns what is never there
 */
function die() {
  if (!isDying) setTimeout(() => process.kill(process.pid, 'SIGKILL'), 1_500);
  isDying = true;
  return new Promise(() => {});
}

function dying(name, activity) {
  if (!activityNames.has(name)) return activity;
  return async (...args) => {
    const result = await activity(...args);
    const step = stepOf(name, args[0]?.saleId ?? args[0]?.vehicleId);
    return (EFFECT[name]?.(result) ?? true) && isDue(step) ? die() : result;
  };
}

// What the dead worker had in its memory is given to its successor soon, and not after ten seconds each time.
const create = Worker.create.bind(Worker);
Worker.create = (options) => create({ ...options, stickyQueueScheduleToStartTimeout: '1 second' });

const { createWorker } = worker;
worker.createWorker = async (options) => {
  const activities = Object.entries(options.activities).map(([name, activity]) => [name, dying(name, activity)]);
  const created = await createWorker({ ...options, activities: Object.fromEntries(activities) });
  dieAtCommands(created.nativeWorker);
  return created;
};

/** The SDK has no interceptor between a workflow's task and its answer; this is the door that every answer goes through. */
function dieAtCommands(native) {
  const begun = new Map();
  const { pollWorkflowActivation, completeWorkflowActivation } = native;
  native.pollWorkflowActivation = async () => {
    const bytes = await pollWorkflowActivation();
    const { runId, jobs } = coresdk.workflow_activation.WorkflowActivation.decode(new Uint8Array(bytes));
    for (const { initializeWorkflow } of jobs) if (initializeWorkflow) begun.set(runId, initializeWorkflow);
    return bytes;
  };
  native.completeWorkflowActivation = (bytes) => {
    const { runId, successful } = coresdk.workflow_completion.WorkflowActivationCompletion.decodeDelimited(
      new Uint8Array(bytes),
    );
    const { workflowType, workflowId } = begun.get(runId) ?? {};
    const commands = new Set((successful?.commands ?? []).map(({ variant }) => `${workflowType} ${variant}`));
    const id = workflowId?.split('/').at(-1);
    const due = [...commands].filter((command) => commandNames.has(command) && isDue(stepOf(command, id)));
    return due.length > 0 ? die() : completeWorkflowActivation(bytes);
  };
}
