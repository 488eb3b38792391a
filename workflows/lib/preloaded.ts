/**
 * Loaded once for each thread that runs workflows, before the first of them, and shared: without it every execution would
 * evaluate all modules of all workflows anew, an opening those of a sale. Nothing in them may keep state; the SDK freezes
 * what they export.
 */
import '../index';
import './correlation';

/**
 * The SDK takes a stack trace of every promise that a workflow makes, and looks up each of its lines in the source map.
 * These are lines enough to see where one waits.
 */
Error.stackTraceLimit = 4;
