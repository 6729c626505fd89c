package __PACKAGE__

import ai.onnxruntime.OnnxJavaType
import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtSession
import ai.onnxruntime.providers.NNAPIFlags
import android.content.Context
import java.io.FileInputStream
import java.io.FileNotFoundException
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.channels.FileChannel
import java.util.EnumSet

/** What runs the model. Nodes that a provider does not take run on the CPU. */
enum class Provider {
    CPU,
    XNNPACK,
    NNAPI,
    NNAPI_FP16,
    QNN,
}

/** A tensor: element type, shape, and elements in native byte order in a direct buffer. */
class RawTensor(
    val type: OnnxJavaType,
    val shape: LongArray,
    val data: ByteBuffer,
) {
    /** The elements of a float32 tensor. */
    fun floats(): FloatArray {
        require(type == OnnxJavaType.FLOAT) { "the tensor is $type, not float32" }
        val view = data.duplicate().order(ByteOrder.nativeOrder()).asFloatBuffer()
        val values = FloatArray(view.remaining())
        view.get(values)
        return values
    }

    companion object {
        fun ofFloats(values: FloatArray, shape: LongArray): RawTensor {
            val data = ByteBuffer.allocateDirect(values.size * 4).order(ByteOrder.nativeOrder())
            data.asFloatBuffer().put(values)
            return RawTensor(OnnxJavaType.FLOAT, shape, data)
        }
    }
}

/**
 * The model in a session. Make one and keep it: loading is the expensive part. `run` may be called from several threads;
 * keep it off the main thread.
 */
class Model(
    context: Context,
    asset: String = ModelInfo.ASSET,
    provider: Provider = ModelInfo.PROVIDER,
    threads: Int = Runtime.getRuntime().availableProcessors().coerceAtMost(4),
) : AutoCloseable {
    private val environment = OrtEnvironment.getEnvironment()
    private val session: OrtSession

    init {
        val options = OrtSession.SessionOptions()
        configure(options, provider, threads)
        session = environment.createSession(map(context, asset), options)
        options.close()
    }

    /** Runs the model on inputs by name; the answer holds every output by name. */
    fun run(inputs: Map<String, RawTensor>): Map<String, RawTensor> {
        val tensors = LinkedHashMap<String, OnnxTensor>()
        try {
            for ((name, tensor) in inputs) {
                val data = tensor.data.duplicate().order(ByteOrder.nativeOrder())
                data.rewind()
                tensors[name] = OnnxTensor.createTensor(environment, data, tensor.shape, tensor.type)
            }
            session.run(tensors).use { results ->
                val outputs = LinkedHashMap<String, RawTensor>()
                for (entry in results) {
                    val value = entry.value as OnnxTensor
                    outputs[entry.key] = RawTensor(value.info.type, value.info.shape, value.byteBuffer)
                }
                return outputs
            }
        } finally {
            for (tensor in tensors.values) {
                tensor.close()
            }
        }
    }

    override fun close() {
        session.close()
    }

    private fun configure(options: OrtSession.SessionOptions, provider: Provider, threads: Int) {
        for ((key, value) in ModelInfo.SESSION_CONFIG) {
            options.addConfigEntry(key, value)
        }
        options.setIntraOpNumThreads(threads)
        when (provider) {
            Provider.CPU -> {
            }
            Provider.XNNPACK -> {
                // Its own threads do the work: two pools would fight for the cores.
                options.addXnnpack(mapOf("intra_op_num_threads" to threads.toString()))
                options.addConfigEntry("session.intra_op.allow_spinning", "0")
                options.setIntraOpNumThreads(1)
            }
            Provider.NNAPI -> {
                options.addNnapi()
            }
            Provider.NNAPI_FP16 -> {
                options.addNnapi(EnumSet.of(NNAPIFlags.USE_FP16))
            }
            Provider.QNN -> {
                options.addQnn(mapOf("backend_path" to "libQnnHtp.so", "htp_performance_mode" to "burst"))
            }
        }
    }

    /**
     * The asset mapped into memory: the pages come from the APK when they are needed, and no copy is made. An app that has not named
     * "ort" in its own `noCompress` packs it compressed, whatever this module says: then it is read.
     */
    private fun map(context: Context, asset: String): ByteBuffer {
        val file =
            try {
                context.assets.openFd(asset)
            } catch (compressed: FileNotFoundException) {
                return unpack(context, asset)
            }
        file.use { descriptor ->
            FileInputStream(descriptor.fileDescriptor).use { stream ->
                return stream.channel.map(
                    FileChannel.MapMode.READ_ONLY,
                    descriptor.startOffset,
                    descriptor.declaredLength,
                )
            }
        }
    }

    private fun unpack(context: Context, asset: String): ByteBuffer {
        val bytes = context.assets.open(asset).use { it.readBytes() }
        val data = ByteBuffer.allocateDirect(bytes.size)
        data.put(bytes)
        data.rewind()
        return data
    }
}
