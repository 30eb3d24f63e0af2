"""Video decoded by real codecs: no picture lost, in order, with the right time."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import numpy as np
import pytest

from mosaico_ros import IMU, CompressedImage, ImageFormat, Message, Vector3d
from mosaico_ros.models import StatefulDecodingSession, decode_frames
from mosaico_ros.protocol.errors import InvalidArgumentError

av = pytest.importorskip('av', reason='PyAV is not installed')

HEIGHT, WIDTH, COUNT, GROUP = 48, 64, 24, 8
START, STEP = 1_700_000_000_000_000_000, 33_333_333
# Every encoder puts a key frame before each GROUP frames; the first two reorder frames.
ENCODERS = {
    'h264': ('libx264', {'x264-params': f'bframes=2:keyint={GROUP}:scenecut=0:open-gop=0'}),
    'hevc': (
        'libx265',
        {'x265-params': f'log-level=none:bframes=2:keyint={GROUP}:scenecut=0:open-gop=0'},
    ),
    'av1': (
        'libsvtav1',
        {'preset': '12', 'svtav1-params': f'keyint={GROUP}:scd=0'},
    ),
    'vp9': ('libvpx-vp9', {'deadline': 'realtime', 'keyint_min': str(GROUP)}),
}


def shade(number):
    """The grey of a frame, far enough from its neighbours to survive lossy codecs."""
    return 20 + 8 * number


def film(format, offset=0):
    """Encode COUNT grey frames; return (number of the frame, its packet) in sending order."""
    # SVT-AV1 makes the thread that begins to encode a real-time one where it may, as root. All
    # that this thread starts would be so too, and whatever runs beside these tests would starve.
    with ThreadPoolExecutor(1) as apart:
        return apart.submit(encoded, format, offset).result()


def encoded(format, offset):
    encoder, options = ENCODERS[format]
    codec = av.CodecContext.create(encoder, 'w')
    codec.width, codec.height, codec.pix_fmt = WIDTH, HEIGHT, 'yuv420p'
    codec.time_base, codec.framerate, codec.gop_size = Fraction(1, 30), 30, GROUP
    codec.options = options
    packets = []
    for number in range(COUNT):
        picture = np.full((HEIGHT, WIDTH, 3), shade(number) + offset, np.uint8)
        frame = av.VideoFrame.from_ndarray(picture, 'rgb24')
        frame.pts = number
        packets += codec.encode(frame)
    packets += codec.encode(None)
    return [(packet.pts, bytes(packet)) for packet in packets]


@pytest.fixture(scope='module', params=ENCODERS)
def recording(request):
    return request.param, film(request.param)


def messages(format, packets):
    return [
        Message(timestamp_ns=START + i * STEP, data=CompressedImage(data=data, format=format))
        for i, (_, data) in enumerate(packets)
    ]


def numbers(frames, offset=0):
    """Which frames these are, told by their grey."""
    return [round((float(np.asarray(frame).mean()) - 20 - offset) / 8) for frame in frames]


def test_every_frame_comes_in_order_with_the_time_of_its_message(recording):
    format, packets = recording
    sent = [number for number, _ in packets]
    if format in ('h264', 'hevc'):
        assert sent != sorted(sent)  # the encoder did reorder
    times, frames = zip(*decode_frames(messages(format, packets)), strict=True)
    assert numbers(frames) == list(range(COUNT))
    assert [(t - START) // STEP for t in times] == [sent.index(n) for n in range(COUNT)]
    assert frames[0].shape == (HEIGHT, WIDTH, 3)
    assert frames[0].dtype == np.uint8


def test_the_tests_take_no_more_of_the_machine_than_others(recording):
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


def test_a_window_begins_with_its_first_key_frame(recording):
    format, packets = recording
    late = [i for i, (number, _) in enumerate(packets) if number == GROUP]
    (at,) = late
    frames = [frame for _, frame in decode_frames(messages(format, packets[at - 3 :]))]
    assert numbers(frames) == list(range(GROUP, COUNT))


def test_a_stream_without_a_key_frame_is_told(recording):
    format, packets = recording
    with pytest.raises(InvalidArgumentError, match=f'None of the 3 packets of {format}'):
        list(decode_frames(messages(format, packets[2:5])))


def test_a_message_may_hold_several_packets():
    packets = film('h264')
    pairs = [(0, a + b) for (_, a), (_, b) in zip(packets[::2], packets[1::2], strict=True)]
    times, frames = zip(*decode_frames(messages('h264', pairs)), strict=True)
    assert numbers(frames) == list(range(COUNT))
    assert len(set(times)) == COUNT // 2


def test_streams_of_a_session_do_not_mix():
    streams = {'left': film('h264'), 'right': film('hevc', offset=3)}
    seen = {context: [] for context in streams}
    with StatefulDecodingSession() as session:
        for i in range(COUNT):
            for context, format in (('left', 'h264'), ('right', 'hevc')):
                image = CompressedImage(data=streams[context][i][1], format=format)
                picture = image.to_image(session, context=context)
                if picture is not None:
                    seen[context].append(picture)
        waiting = {context: len(frames) for context, frames in seen.items()}
        for context, frames in seen.items():
            frames += session.drain(context)
    assert max(waiting.values()) < COUNT  # both were late, and nothing is lost
    assert numbers(seen['left']) == numbers(seen['right'], 3) == list(range(COUNT))
    assert seen['left'][0].size == (WIDTH, HEIGHT)


def test_a_session_needs_no_context_for_one_stream():
    session = StatefulDecodingSession()
    images = [message.data for message in messages('h264', film('h264'))]
    pictures = [image.to_image(codec=session) for image in images]
    pictures = [picture for picture in pictures if picture is not None] + session.drain()
    assert numbers(pictures) == list(range(COUNT))
    assert session.drain() == []


def test_a_session_waits_for_a_key_frame_and_forgets_on_close():
    packets = film('h264')
    session = StatefulDecodingSession()
    assert session.decode(img_bytes=packets[1][1], format=ImageFormat.H264) is None
    assert session.drain() == []
    session.decode(img_bytes=packets[0][1], format=ImageFormat.H264)
    session.close()
    assert session.drain() == []


def test_a_session_takes_stills():
    still = CompressedImage.from_numpy(np.full((4, 6, 3), 7, np.uint8))
    assert still.to_image(StatefulDecodingSession()).getpixel((0, 0)) == (7, 7, 7)


def test_stills_of_a_topic_are_frames():
    still = CompressedImage.from_numpy(np.full((4, 6), 9, np.uint8))
    ((time, frame),) = decode_frames([Message(timestamp_ns=5, data=still)])
    assert time == 5
    np.testing.assert_array_equal(frame, np.full((4, 6), 9))


def test_what_cannot_be_decoded_is_told():
    packets = film('h264')
    junk = [(0, b'\0\0\0\1\x65' + bytes(range(1, 60)))]
    with pytest.raises(
        InvalidArgumentError, match=r'Packet 5 of the topic .* h264: Invalid data.*Annex B'
    ):
        list(decode_frames(messages('h264', packets[:4] + junk)))
    session = StatefulDecodingSession()
    session.decode(img_bytes=packets[0][1], format=ImageFormat.H264, context='/cam')
    with pytest.raises(InvalidArgumentError, match="Packet 2 of '/cam'"):
        session.decode(img_bytes=junk[0][1], format=ImageFormat.H264, context='/cam')
    with pytest.raises(InvalidArgumentError, match="'/cam' is h264, got hevc"):
        session.decode(img_bytes=b'x', format=ImageFormat.HEVC, context='/cam')
    imu = IMU(acceleration=Vector3d(x=0, y=0, z=0), angular_velocity=Vector3d(x=0, y=0, z=0))
    with pytest.raises(InvalidArgumentError, match='IMU holds no compressed images'):
        list(decode_frames([Message(timestamp_ns=0, data=imu)]))


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, 'av', None)
    with pytest.raises(InvalidArgumentError, match=r"pip install 'mosaico_ros\[video\]'"):
        StatefulDecodingSession().decode(img_bytes=b'x', format=ImageFormat.H264)


def test_a_stored_topic_plays(shared_daemon):
    sent = messages('h264', film('h264'))
    with shared_daemon.client() as client:
        with client.sequence_create('film') as sequence:
            camera = sequence.topic_create('camera', {}, CompressedImage)
            for message in sent:
                camera.push(message)
        handler = client.topic_handler('film', 'camera')
        with handler.get_data_streamer() as streamer:
            assert numbers(frame for _, frame in decode_frames(streamer)) == list(range(COUNT))
        with handler.get_data_streamer(START + 2 * STEP) as streamer:
            later = [frame for _, frame in decode_frames(streamer)]
    assert numbers(later) == list(range(GROUP, COUNT))
