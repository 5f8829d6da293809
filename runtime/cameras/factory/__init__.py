"""Factory cameras: GigE Vision and USB3 Vision by GenICam, others by their makers' GenTL producers."""
