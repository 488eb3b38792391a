/**
 * Preloaded into a worker's real process (`node --require`): kills the process with SIGKILL after the effect of a step
 * and before Temporal hears of it, once for each step over all processes. The steps are the activities, by name, and
 * what workflows command in one task, by workflow and kind of command; a process may die of several at once.
 */
const { openSync, closeSync } = require('node:fs');
const { join } = require('node:path');
const { coresdk } = require('@temporalio/proto');
const { Worker } = require('@temporalio/worker');
const worker = require('../../dist/workers/worker.js');

/** Folder with a file for each step that a process died at. */
const folder = process.env.DOMOVOY_TEST_DEATHS;
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
  takeSaleEffect: (state) => state === 'in-force',
  searchEverywhere: ({ found }) => found.length === 0,
};

function isFirst(step) {
  try {
    closeSync(openSync(join(folder, step), 'wx'));
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    throw error;
  }
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
    return (EFFECT[name]?.(result) ?? true) && isFirst(name) ? die() : result;
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
  const types = new Map();
  const { pollWorkflowActivation, completeWorkflowActivation } = native;
  native.pollWorkflowActivation = async () => {
    const bytes = await pollWorkflowActivation();
    const { runId, jobs } = coresdk.workflow_activation.WorkflowActivation.decode(new Uint8Array(bytes));
    for (const { initializeWorkflow } of jobs)
      if (initializeWorkflow) types.set(runId, initializeWorkflow.workflowType);
    return bytes;
  };
  native.completeWorkflowActivation = (bytes) => {
    const { runId, successful } = coresdk.workflow_completion.WorkflowActivationCompletion.decodeDelimited(
      new Uint8Array(bytes),
    );
    const type = types.get(runId);
    const commands = new Set((successful?.commands ?? []).map(({ variant }) => `${type} ${variant}`));
    const fresh = [...commands].filter((command) => commandNames.has(command) && isFirst(command));
    return fresh.length > 0 ? die() : completeWorkflowActivation(bytes);
  };
}
