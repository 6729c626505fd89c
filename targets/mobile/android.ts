import { literalText } from '../../src/target/literal.ts';
import { ortVersion } from '../../src/target/runtime.ts';
import type { Artifact, BundleFile } from '../../src/target/target.ts';
import type { ImageTask } from '../browser/task-image.ts';
import type { PlatformChoice } from './choice.ts';
import { goldenJson, replayable } from './golden-json.ts';
import { codeNames, floatLiteral, kotlinString } from './names.ts';

/** OnnxJavaType by element type. */
const javaTypes = {
  float32: 'FLOAT',
  float64: 'DOUBLE',
  float16: 'FLOAT16',
  int8: 'INT8',
  uint8: 'UINT8',
  int16: 'INT16',
  int32: 'INT32',
  int64: 'INT64',
  bool: 'BOOL',
};

export interface GlueInput {
  readonly artifact: Artifact;
  readonly choice: PlatformChoice;
  readonly bytes: Uint8Array;
  readonly image: ImageTask | undefined;
  /** Golden cases that the chosen file takes. */
  readonly cases: readonly number[];
}

/** A Gradle library module: model as an asset, loader, pre- and post-processing, and a golden test for a device. */
export function* androidFiles({ artifact, choice, bytes, image, cases }: GlueInput): Iterable<BundleFile> {
  const { kotlinPackage } = codeNames(artifact.name);
  const file = `${artifact.name}.ort`;
  const code = `android/src/main/kotlin/${kotlinPackage.replaceAll('.', '/')}`;
  const test = `android/src/androidTest/kotlin/${kotlinPackage.replaceAll('.', '/')}`;
  const adapted = (name: string): string =>
    literalText('mobile', `android/${name}`)
      .replaceAll('__PACKAGE__', kotlinPackage)
      .replaceAll('__ORT_VERSION__', ortVersion);
  yield { path: 'android/settings.gradle.kts', bytes: adapted('settings.gradle.kts') };
  yield { path: 'android/build.gradle.kts', bytes: adapted('build.gradle.kts') };
  yield { path: 'android/consumer-rules.pro', bytes: adapted('consumer-rules.pro') };
  yield { path: 'android/src/main/AndroidManifest.xml', bytes: adapted('AndroidManifest.xml') };
  yield { path: `android/src/main/assets/${file}`, bytes };
  yield { path: `${code}/Model.kt`, bytes: adapted('Model.kt') };
  yield { path: `${code}/ModelInfo.kt`, bytes: modelInfo(kotlinPackage, artifact, file, choice) };
  if (image) yield { path: `${code}/Preprocess.kt`, bytes: preprocess(kotlinPackage, image) };
  if (artifact.labels) yield { path: `${code}/Labels.kt`, bytes: labelsFile(kotlinPackage, artifact.labels) };
  const replays = replayable(artifact, javaTypes, cases);
  if (replays.length > 0) {
    yield { path: `${test}/GoldenTest.kt`, bytes: adapted('GoldenTest.kt') };
    yield* goldenJson(artifact, 'android/src/androidTest/assets', javaTypes, replays);
  }
}

function modelInfo(kotlinPackage: string, artifact: Artifact, file: string, choice: PlatformChoice): string {
  const config = Object.entries(choice.config).map(([key, value]) => `${kotlinString(key)} to ${kotlinString(value)}`);
  const names = (values: Artifact['inputs']): string => values.map(({ name }) => kotlinString(name)).join(', ');
  return `package ${kotlinPackage}

/** What the loader must know of the model. */
object ModelInfo {
    const val ASSET: String = ${kotlinString(file)}
    val PROVIDER: Provider = Provider.${choice.provider === 'xnnpack' ? 'XNNPACK' : 'CPU'}
    val SESSION_CONFIG: Map<String, String> = mapOf(${config.join(', ')})
    val INPUTS: List<String> = listOf(${names(artifact.inputs)})
    val OUTPUTS: List<String> = listOf(${names(artifact.outputs)})
}
`;
}

function preprocess(kotlinPackage: string, image: ImageTask): string {
  const floats = (values: readonly number[]): string => values.map((value) => `${floatLiteral(value)}f`).join(', ');
  const count = image.factor.length;
  const pick =
    image.channels === 'GRAY'
      ? 'luminance(pixel)'
      : image.channels === 'BGR'
        ? '((pixel shr (8 * c)) and 0xff).toFloat()'
        : '((pixel shr (16 - 8 * c)) and 0xff).toFloat()';
  const place = image.layout === 'NCHW' ? 'c * HEIGHT * WIDTH + at' : 'at * CHANNELS + c';
  const shape =
    image.layout === 'NCHW'
      ? '1, CHANNELS.toLong(), HEIGHT.toLong(), WIDTH.toLong()'
      : '1, HEIGHT.toLong(), WIDTH.toLong(), CHANNELS.toLong()';
  return `package ${kotlinPackage}

import android.graphics.Bitmap
import android.graphics.Canvas
import android.graphics.Color
import android.graphics.Paint
import android.graphics.RectF

/** Turns a picture into the input of the model, as it was done for the data that the model was judged by. */
object Preprocess {
    const val INPUT: String = ${kotlinString(image.input)}
    const val HEIGHT: Int = ${image.height}
    const val WIDTH: Int = ${image.width}
    const val CHANNELS: Int = ${count}
    private val factor = floatArrayOf(${floats(image.factor)})
    private val offset = floatArrayOf(${floats(image.offset)})

    /** ${placementSentence(image)} */
    fun input(picture: Bitmap): RawTensor {
        val frame = Bitmap.createBitmap(WIDTH, HEIGHT, Bitmap.Config.ARGB_8888)
        val canvas = Canvas(frame)
        canvas.drawColor(Color.rgb(${image.pad}, ${image.pad}, ${image.pad}))
        canvas.drawBitmap(picture, null, placement(picture.width.toFloat(), picture.height.toFloat()), Paint(Paint.FILTER_BITMAP_FLAG))
        val pixels = IntArray(HEIGHT * WIDTH)
        frame.getPixels(pixels, 0, WIDTH, 0, 0, WIDTH, HEIGHT)
        val values = FloatArray(CHANNELS * HEIGHT * WIDTH)
        for (at in pixels.indices) {
            val pixel = pixels[at]
            for (c in 0 until CHANNELS) {
                val value = ${pick}
                values[${place}] = value * factor[c] + offset[c]
            }
        }
        return RawTensor.ofFloats(values, longArrayOf(${shape}))
    }

    /** Where the whole picture lies in the frame. */
    private fun placement(width: Float, height: Float): RectF {
${kotlinPlacement(image)}
    }
${
  image.channels === 'GRAY'
    ? `
    private fun luminance(pixel: Int): Float {
        val red = (pixel shr 16) and 0xff
        val green = (pixel shr 8) and 0xff
        val blue = pixel and 0xff
        return 0.299f * red + 0.587f * green + 0.114f * blue
    }
`
    : ''
}}
`;
}

/** Brought to the size of the input without regard to its proportions. */
export function isStretched({ crop, resize }: ImageTask): boolean {
  return crop === 'none' && resize === null;
}

/** How a picture gets into the frame, in words. */
export function placementSentence(image: ImageTask): string {
  const { crop, resize } = image;
  if (isStretched(image)) return 'The picture, stretched to the size of the input.';
  if (crop === 'letterbox') return 'The whole picture in its proportions, the rest of the frame grey.';
  const scaled = resize === null ? 'so that it covers the frame' : `so that its shorter side has ${resize} pixels`;
  return `The middle of the picture, scaled ${scaled}.`;
}

/** The scale of the picture as an expression over its width and height, which all three languages read. */
export function placementScale(
  { crop, resize, height, width }: ImageTask,
  [min, max]: readonly [string, string],
): string {
  if (crop === 'letterbox') return `${min}(${width}.0 / width, ${height}.0 / height)`;
  return resize === null ? `${max}(${width}.0 / width, ${height}.0 / height)` : `${resize}.0 / ${min}(width, height)`;
}

function kotlinPlacement(image: ImageTask): string {
  if (isStretched(image)) return '        return RectF(0f, 0f, WIDTH.toFloat(), HEIGHT.toFloat())';
  const scale = placementScale(image, ['minOf', 'maxOf']).replaceAll('.0', 'f');
  const corner = image.crop === 'letterbox' && image.anchor === 'corner';
  return `        val scale = ${scale}
        val left = ${corner ? '0f' : '(WIDTH - width * scale) / 2'}
        val top = ${corner ? '0f' : '(HEIGHT - height * scale) / 2'}
        return RectF(left, top, left + width * scale, top + height * scale)`;
}

/** Labels in one method: the JVM takes 64 kB of code in each, and a label is 8 bytes of it (dup, sipush, ldc_w, aastore). */
const labelsInOne = 4000;

function kotlinNames(labels: readonly string[]): string {
  const list = (some: readonly string[]): string =>
    `listOf(\n${some.map((label) => `        ${kotlinString(label)},`).join('\n')}\n    )`;
  if (labels.length <= labelsInOne) return `    val NAMES: List<String> = ${list(labels)}`;
  const parts = Array.from({ length: Math.ceil(labels.length / labelsInOne) }, (_, part) =>
    labels.slice(part * labelsInOne, (part + 1) * labelsInOne),
  );
  const sum = parts.map((_, part) => `names${part}()`).join(' + ');
  const methods = parts.map((some, part) => `    private fun names${part}(): List<String> = ${list(some)}`);
  return [`    val NAMES: List<String> = ${sum}`, ...methods].join('\n\n');
}

function labelsFile(kotlinPackage: string, labels: readonly string[]): string {
  return `package ${kotlinPackage}

import kotlin.math.exp

/** A class of the model with its share. */
data class Ranked(
    val label: String,
    val index: Int,
    val share: Float,
)

/** The classes of the model, in the order of its output. */
object Labels {
${kotlinNames(labels)}

    /** The [count] likeliest classes of one row of scores. */
    fun top(scores: FloatArray, count: Int = 5): List<Ranked> {
        val shares = softmax(scores)
        return shares.indices
            .sortedByDescending { shares[it] }
            .take(count)
            .map { Ranked(NAMES.getOrElse(it) { index -> index.toString() }, it, shares[it]) }
    }

    /** Shares as they are where the model gave shares already, else the softmax of its scores. */
    private fun softmax(scores: FloatArray): FloatArray {
        val sum = scores.sum()
        if (scores.all { it in 0f..1f } && sum in 0.99f..1.01f) {
            return scores
        }
        val top = scores.maxOrNull() ?: 0f
        val powers = FloatArray(scores.size) { exp(scores[it] - top) }
        val total = powers.sum()
        return FloatArray(scores.size) { powers[it] / total }
    }
}
`;
}
