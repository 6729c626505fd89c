import type { Artifact } from '../../src/target/target.ts';
import { isObject } from './json.ts';
import { type ImageTask, imageTask } from './task-image.ts';
import { type AudioTask, audioTask, type TextTask, textTask } from './task-sequence.ts';

/** What a person gives the model, and how it becomes the model's inputs; undefined where nobody says. */
export type Task = ImageTask | TextTask | AudioTask;

export function taskOf(artifact: Artifact): Task | undefined {
  const sections = isObject(artifact.preprocessing) ? artifact.preprocessing : {};
  return imageTask(artifact, sections) ?? textTask(artifact, sections) ?? audioTask(artifact, sections);
}
