package __PACKAGE__

import ai.onnxruntime.OnnxJavaType
import androidx.test.ext.junit.runners.AndroidJUnit4
import androidx.test.platform.app.InstrumentationRegistry
import org.json.JSONArray
import org.json.JSONObject
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.math.abs

/** Replays the recorded inputs on the device and compares with the recorded outputs. */
@RunWith(AndroidJUnit4::class)
class GoldenTest {
    private val assets = InstrumentationRegistry.getInstrumentation().context.assets
    private val context = InstrumentationRegistry.getInstrumentation().targetContext

    @Test
    fun answersAsRecorded() {
        replay(ModelInfo.PROVIDER)
    }

    @Test
    fun answersAsRecordedOnTheCpu() {
        replay(Provider.CPU)
    }

    private fun replay(provider: Provider) {
        val cases = JSONArray(String(assets.open("golden.json").use { it.readBytes() }, Charsets.UTF_8))
        Model(context, provider = provider).use { model ->
            for (n in 0 until cases.length()) {
                val case = cases.getJSONObject(n)
                val got = model.run(tensors(case.getJSONArray("inputs")))
                val outputs = case.getJSONArray("outputs")
                for (i in 0 until outputs.length()) {
                    val row = outputs.getJSONObject(i)
                    val name = row.getString("name")
                    compare("case $n, $name", got.getValue(name), tensor(row), row.getDouble("rtol"), row.getDouble("atol"))
                }
            }
        }
    }

    private fun tensors(rows: JSONArray): Map<String, RawTensor> {
        val tensors = LinkedHashMap<String, RawTensor>()
        for (i in 0 until rows.length()) {
            val row = rows.getJSONObject(i)
            tensors[row.getString("name")] = tensor(row)
        }
        return tensors
    }

    private fun tensor(row: JSONObject): RawTensor {
        val bytes = assets.open(row.getString("file")).use { it.readBytes() }
        val data = ByteBuffer.allocateDirect(bytes.size).order(ByteOrder.nativeOrder())
        data.put(bytes)
        data.rewind()
        val dims = row.getJSONArray("shape")
        val shape = LongArray(dims.length()) { dims.getLong(it) }
        return RawTensor(OnnxJavaType.valueOf(row.getString("type")), shape, data)
    }

    private fun compare(what: String, got: RawTensor, want: RawTensor, rtol: Double, atol: Double) {
        assertEquals(what, want.type, got.type)
        assertEquals(what, want.shape.toList(), got.shape.toList())
        if (want.type != OnnxJavaType.FLOAT) {
            assertEquals(what, want.data.rewind(), got.data.rewind())
            return
        }
        val expected = want.floats()
        val actual = got.floats()
        val scale = expected.filter { it.isFinite() }.maxOfOrNull { abs(it) } ?: 0f
        val allowed = atol + rtol * scale
        for (i in expected.indices) {
            // Infinities have no difference.
            if (actual[i] == expected[i] || (actual[i].isNaN() && expected[i].isNaN())) continue
            assertTrue("$what: ${actual[i]} at $i instead of ${expected[i]}", abs(actual[i] - expected[i]) <= allowed)
        }
    }
}
